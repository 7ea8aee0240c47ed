"""Scenarios of an upload: begun, written, resumed, verified, finished, cancelled, and two at once."""

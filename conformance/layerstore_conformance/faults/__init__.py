"""Backends that fail: fault plans, a driver that follows one, and uploads that come through all the same."""

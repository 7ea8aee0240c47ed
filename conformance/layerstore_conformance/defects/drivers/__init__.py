"""Defects planted in front of a driver."""

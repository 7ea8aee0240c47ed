"""Defects planted in the core: a function of it is replaced."""

"""Defects of uploads, layers and their upkeep: a function of the core is replaced."""

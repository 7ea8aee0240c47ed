"""Defects of what a driver promises: planted in front of a driver, or in the checks that the core puts there."""

"""Benchmarks of a layerstore driver: the scenarios' own steps, timed."""

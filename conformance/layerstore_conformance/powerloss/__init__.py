"""Losses of power: a recorder of file calls, and the trees that a disk may show afterwards."""

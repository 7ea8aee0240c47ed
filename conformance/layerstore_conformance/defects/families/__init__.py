"""Families of defects: each has parameters, such as a threshold, a period or a neighbour, which a proof draws."""

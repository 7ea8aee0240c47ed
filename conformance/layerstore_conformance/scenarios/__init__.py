"""The scenarios. A function with the decorator ``scenario`` is one; its id begins with the name of its module.

``drivers`` are of the driver contract alone, ``uploads`` of an upload from beginning to end, ``upkeep`` of a store over
time, ``adversity`` of whatever goes wrong.
"""

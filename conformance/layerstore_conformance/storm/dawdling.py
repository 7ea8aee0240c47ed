"""A driver that takes its time between two calls, now and then: so that processes meet in the middle of things."""

from __future__ import annotations

import time
from random import Random

from layerstore.driver import Driver
from layerstore.observed import Call, ObservedDriver

LONGEST = 0.004
"""Seconds."""

OFTEN = 0.1
"""How much of all calls."""


def dawdling(driver: Driver, random: Random) -> Driver:
    """Put such waiting in front of a driver."""
    return ObservedDriver(driver, _Dawdler(random))


class _Dawdler:
    def __init__(self, random: Random) -> None:
        self._random = random

    def before(self, call: Call) -> None:
        del call
        if self._random.random() < OFTEN:
            time.sleep(self._random.uniform(0, LONGEST))

    def after(self, call: Call, result: object) -> None:
        del result
        self.before(call)

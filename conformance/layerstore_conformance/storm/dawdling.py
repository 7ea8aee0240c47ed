"""A driver that takes its time between two calls, now and then: so that processes meet in the middle of things."""

from __future__ import annotations

import time
from random import Random

from layerstore.driver import Driver
from layerstore.observed import Call, ObservedDriver

USUAL = (0.05, 0.004)
"""How much of all calls is waited before and after, and for how many seconds at most."""

BEFORE = {"move": (0.3, 0.15)}
"""Before these, which have to notice what has come between."""


def dawdling(driver: Driver, random: Random) -> Driver:
    """Put such waiting in front of a driver."""
    return ObservedDriver(driver, _Dawdler(random))


class _Dawdler:
    def __init__(self, random: Random) -> None:
        self._random = random

    def before(self, call: Call) -> None:
        self._wait(*BEFORE.get(call.method, USUAL))

    def after(self, call: Call, result: object) -> None:
        del call, result
        self._wait(*USUAL)

    def _wait(self, often: float, longest: float) -> None:
        if self._random.random() < often:
            time.sleep(self._random.uniform(0, longest))

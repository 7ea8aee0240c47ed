"""A driver that sometimes waits between two calls, so that processes meet in the middle of their operations."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from layerstore.driver import Driver
from layerstore_conformance.kit.observed import Call, ObservedDriver

USUAL = 0.05
"""The share of calls with a wait before or after them."""

MOMENT = 0.004
"""Seconds of such a wait, at most."""

MOVES = 0.3
"""The share of moves that wait until other workers have done something: a move must notice it."""

MEANWHILE = 5_000
"""Bytes that other workers write into their journals meanwhile: some fifteen operations."""

LONGEST = 1.0
"""Seconds after which this wait ends: the others may be stopped."""

POLL = 0.002
"""Seconds between two looks at the journals."""


def dawdling(driver: Driver, random: Random, journals: Path) -> Driver:
    """Put waits in front of a driver; ``journals`` is the directory of all workers' journals."""
    return ObservedDriver(driver, _Dawdler(random, journals))


class _Dawdler:
    def __init__(self, random: Random, journals: Path) -> None:
        self._random = random
        self._journals = journals

    def before(self, call: Call) -> None:
        if call.method == "move" and self._random.random() < MOVES:
            self._let_others_work()
        self._wait()

    def after(self, call: Call, result: object) -> None:
        del call, result
        self._wait()

    def _wait(self) -> None:
        if self._random.random() < USUAL:
            time.sleep(self._random.uniform(0, MOMENT))

    def _let_others_work(self) -> None:
        goal, until = self._written() + MEANWHILE, time.monotonic() + LONGEST
        while self._written() < goal and time.monotonic() < until:
            time.sleep(POLL)

    def _written(self) -> int:
        return sum(path.stat().st_size for path in self._journals.glob("*.journal"))

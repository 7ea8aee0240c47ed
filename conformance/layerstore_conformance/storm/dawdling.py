"""A driver that takes its time between two calls, now and then: so that processes meet in the middle of things."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from layerstore.driver import Driver
from layerstore.observed import Call, ObservedDriver

USUAL = 0.05
"""How much of all calls is waited before and after."""

MOMENT = 0.004
"""Seconds that is waited at most then."""

MOVES = 0.3
"""How much of all moves is waited before until others have done something: a move has to notice it."""

MEANWHILE = 5_000
"""Bytes that other workers write into their journals meanwhile: some fifteen operations."""

LONGEST = 1.0
"""Seconds after which that is given up: they may be stopped."""

POLL = 0.002
"""Seconds between two looks at the journals."""


def dawdling(driver: Driver, random: Random, journals: Path) -> Driver:
    """Put such waiting in front of a driver; ``journals`` is where those of all workers are."""
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

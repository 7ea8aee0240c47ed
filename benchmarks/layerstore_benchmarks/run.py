"""A run: every case in every round, in an order of its own, after a first round that counts and is not timed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerstore import layout
from layerstore_benchmarks.counting import Costs, costs
from layerstore_benchmarks.steps import ROOT, Bench, NotColdError

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Driver
    from layerstore_benchmarks.case import Case
    from layerstore_benchmarks.payload import Source

Times = list[dict[str, float]]
"""Seconds of a layer by step, a round after the other."""


class Run:
    """The cases, and what was measured of each so far."""

    def __init__(self, driver: Driver, source: Source, cases: Sequence[Case]) -> None:
        """Measure ``cases`` on ``driver``."""
        self.cases = tuple(cases)
        self.costs: dict[Case, Costs] = {}
        self.times: dict[Case, Times] = {case: [] for case in cases}
        self._driver = driver
        self._source = source
        self._bench = Bench(driver, source)

    def measure(self, rounds: int, seed: int, told: Callable[[Case], None] = lambda case: None) -> None:
        """Count, and then time in so many rounds. ``told`` is called before each case begins.

        A machine that slows down for a while slows all cases alike: they are compared round by round.
        """
        try:
            for case in self.cases:
                told(case)
                with self._unless_warm(case):
                    self.costs[case] = costs(self._driver, self._source, case)
            for number in range(rounds):
                for case in random.Random(f"{seed} {number}").sample(self.cases, len(self.cases)):
                    told(case)
                    with self._unless_warm(case):
                        self.times[case].append(self._bench.sample(case))
        finally:
            self._bench.clean()

    @contextmanager
    def _unless_warm(self, case: Case) -> Iterator[None]:
        """Give a cold reading up where the system did not drop what it could at first: that is its to decide."""
        try:
            yield
        except NotColdError:
            self._bench.clean()
            self.cases = tuple(each for each in self.cases if each != case)


def can_drop_caches(driver: CheckedDriver) -> bool:
    """Return whether a driver can make the operating system drop its objects from the cache."""
    key = f"{ROOT}/{layout.ROOT}/cold"
    driver.put(key, bytes(1 << 16))
    try:
        return driver.drop_cache(key)
    finally:
        driver.delete(key)

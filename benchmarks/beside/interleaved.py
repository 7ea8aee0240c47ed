"""Timing several ways to do one piece of work, in turn: a machine that is slow for a while is slow for all of them."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

Seconds = dict[str, list[float]]
"""By name, a round after the other."""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do it: what is timed, and what comes before and after."""

    act: Callable[[], object]
    """What is timed; what it returns is kept until it is cleaned up."""
    prepare: Callable[[], None] = nothing
    clean: Callable[[], None] = nothing


def interleave(ways: Mapping[str, Way], rounds: int, first: AbstractContextManager[None]) -> Seconds:
    """Do each way once in every round, in an order of its own; before that once in ``first``, which is not counted."""
    seconds: Seconds = {name: [] for name in ways}
    with first:
        _round(ways, 0)
    for number in range(1, rounds + 1):
        for name, taken in _round(ways, number):
            seconds[name].append(taken)
    return seconds


def _round(ways: Mapping[str, Way], number: int) -> list[tuple[str, float]]:
    return [(name, _timed(ways[name])) for name in random.Random(number).sample(list(ways), len(ways))]


def _timed(way: Way) -> float:
    way.prepare()
    gc.collect()
    begun = time.perf_counter()
    kept = way.act()
    taken = time.perf_counter() - begun
    del kept
    way.clean()
    return taken


def ratio(seconds: Seconds, ours: str, theirs: str) -> float:
    """Return the median, over the rounds, of how much longer one takes than another."""
    return statistics.median(a / b for a, b in zip(seconds[ours], seconds[theirs], strict=True))

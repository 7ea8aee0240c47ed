"""A life of objects whose earlier processes were killed: what the next one sees and flushes is promised.

A process that is killed has often changed something that it has not synced, and the system keeps that until power is
lost. Who finds it there, and is told that a flush of nothing new has made it durable (W6.4), builds on it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.places import Places, profiled
from layerstore_conformance.kit.system_calls import begins_change
from layerstore_conformance.promises.states import Around, State

if TYPE_CHECKING:
    from types import FrameType

KEY, SOURCE = "d/e/key", "d/e/source"

OLD, NEW = bulk("old", 10_000), bulk("new", 7000)


def _write(driver: CheckedDriver) -> None:
    with driver.open_writer(KEY) as writer:
        writer.write(NEW)


def _put(driver: CheckedDriver) -> None:
    driver.put(KEY, NEW)


def _move(driver: CheckedDriver) -> None:
    driver.put(SOURCE, NEW)
    driver.move(SOURCE, KEY)


def calls_after_processes_were_killed(driver: CheckedDriver, around: Around) -> Iterator[State]:
    """Flush nothing new after another process was killed before each change that it was about to make of a file."""
    yield {}
    for old, act in ((b"", _write), (OLD, _put), (OLD, _move)):
        place, was_killed = 0, True
        while was_killed:
            place += 1
            yield {KEY: None, SOURCE: None}
            if old:
                driver.put(KEY, old)
            was_killed = _killed_at(place, around, act)
            writer = driver.open_writer(KEY)
            writer.flush()
            yield {KEY: driver.get(KEY, 1 << 20), SOURCE: None}
            writer.discard()
            driver.delete("d")


def _killed_at(place: int, around: Around, act: Callable[[CheckedDriver], None]) -> bool:
    """Do something in another process, which is killed before a change of a file; return whether it came to that."""
    child = os.fork()
    if not child:
        try:
            with closing(around.open()) as driver, profiled(_Killing(driver, place).ran):
                act(driver)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


class _Killing:
    """Kills this process before the driver makes one of its changes, counted from 1."""

    def __init__(self, driver: CheckedDriver, place: int) -> None:
        self._in_driver, self._left = Places(driver), place

    def ran(self, frame: FrameType, event: str, called: object) -> None:
        """Look at what runs, as ``sys.setprofile`` asks."""
        if begins_change(frame, event, called) and self._in_driver.own(frame):
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

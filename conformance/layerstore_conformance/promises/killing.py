"""Kill this process at a chosen driver call: before it, after it, or with half of its bytes written."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Literal, NamedTuple, NoReturn

from layerstore.driver import Driver, Writer
from layerstore_conformance.kit.cutting import PiecemealDriver
from layerstore_conformance.kit.observed import Call
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter

Moment = Literal["before", "middle", "after"]


class CutPoint(NamedTuple):
    """A moment in a lifecycle, by its driver calls."""

    call: int
    """The number of the call, from 0."""
    side: Moment
    """``middle`` is for ``write_at``: the driver gets half of the bytes."""


class Killer:
    """An observer that kills its process at a cut point, by SIGKILL: no handler runs, nothing is flushed.

    It sends every call (``call``, with the :class:`~layerstore_conformance.kit.observed.Call`), and last of all
    ``dying``, with the number of the call at which it dies.
    """

    def __init__(self, tell: Callable[..., object], cut: CutPoint | None) -> None:
        """Be ready to kill at ``cut``; without one, let every call pass."""
        self._tell = tell
        self._cut = cut
        self._number = -1

    def before(self, call: Call) -> None:
        """Give a call its number, and die before it."""
        self._number += 1
        self._tell("call", call)
        if self.is_at("before"):
            self.die()

    def after(self, call: Call, result: object) -> None:
        """Die after a call."""
        del call, result
        if self.is_at("after"):
            self.die()

    def is_at(self, side: Moment) -> bool:
        """Return whether this is the cut point."""
        return self._cut == (self._number, side)

    def die(self) -> NoReturn:
        """Kill this process on the spot."""
        self._tell("dying", self._number)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached: a process that is sent SIGKILL by itself does not come back")


def mortal(driver: Driver, killer: Killer) -> Driver:
    """Put a killer in front of a driver, and delete prefixes key by key, so that a kill can come in between."""
    return PiecemealDriver(_HalvingDriver(driver, killer), killer)


class _HalvingDriver(PassingDriver):
    def __init__(self, inner: Driver, killer: Killer) -> None:
        super().__init__(inner)
        self._killer = killer

    def open_writer(self, key: str) -> Writer:
        return _HalvingWriter(self.inner.open_writer(key), self._killer)


class _HalvingWriter(PassingWriter):
    def __init__(self, inner: Writer, killer: Killer) -> None:
        super().__init__(inner)
        self._killer = killer

    def write_at(self, offset: int, data: memoryview) -> None:
        if self._killer.is_at("middle"):
            super().write_at(offset, data[: len(data) // 2])
            self._killer.die()
        super().write_at(offset, data)

"""Kill this process at a chosen driver call: before it, after it, or with half of what it was given written."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Literal, NamedTuple, NoReturn

from layerstore.driver import Driver, Writer
from layerstore.observed import Call
from layerstore.passing import PassingDriver, PassingWriter
from layerstore_conformance.kit.cutting import PiecemealDriver

Side = Literal["before", "middle", "after"]


class CutPoint(NamedTuple):
    """A moment in a life, by its driver calls."""

    call: int
    """The number of the call, from 0 on."""
    side: Side
    """``middle`` is for ``write_at``: the driver is given half of the bytes."""


class Killer:
    """An observer that kills its process at a cut point, as nothing else would: no handler runs, nothing is flushed.

    It tells every call (``call``, with the :class:`~layerstore.observed.Call`), and the last thing that it tells is
    ``dying``, with the number of the call that it dies at.
    """

    def __init__(self, tell: Callable[..., object], cut: CutPoint | None) -> None:
        """Be ready to kill at ``cut``; without one let everything pass."""
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

    def is_at(self, side: Side) -> bool:
        """Tell whether this is the cut point."""
        return self._cut == (self._number, side)

    def die(self) -> NoReturn:
        """Kill this process on the spot."""
        self._tell("dying", self._number)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached: a process that is sent SIGKILL by itself does not come back")


def mortal(driver: Driver, killer: Killer) -> Driver:
    """Put a killer in front of a driver, which deletes a prefix key by key, so that it can be cut off in between."""
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

"""Interrupt a driver in the middle of a call, as Ctrl-C or another signal's handler does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from layerstore_conformance.kit.places import Places, profiled
from layerstore_conformance.kit.system_calls import Writes, changes

if TYPE_CHECKING:
    from types import FrameType

    from layerstore.checked import CheckedDriver


class Interruption:
    """Raises ``KeyboardInterrupt`` at a place in a driver's own code, or where that calls other code, in this thread.

    The places are counted from 1.

    ::

        with Interruption(driver, 7).lurking(), suppress(KeyboardInterrupt):
            driver.put("key", b"data")
    """

    def __init__(self, driver: CheckedDriver, place: int = 0) -> None:
        """Interrupt ``driver`` at its ``place``-th place; 0 only counts."""
        self.places = 0
        self.changes: list[int] = []
        """The places right after a file was changed or synced, by the driver or by a library; found if place is 0."""
        self._place = place
        self._writes = Writes()
        self._in_driver = Places(driver)

    @contextmanager
    def lurking(self) -> Iterator[None]:
        """Interrupt what this thread does in the block; what it has just got may be lost, and is not warned of."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            with nullcontext() if self._place else self._writes.counted(), profiled(self._ran):
                yield

    def _ran(self, frame: FrameType, event: str, called: object) -> None:
        if self._in_driver.have_or_leave(frame, event, called):
            self.places += 1
            if self._writes.are_more() or (event == "c_return" and changes(called)):
                self.changes.append(self.places)
            if self.places == self._place:
                raise KeyboardInterrupt(f"in line {frame.f_lineno} of {frame.f_code.co_filename}")

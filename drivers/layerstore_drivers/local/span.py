"""The bytes a writer has accepted, in a file that may hold torn ones beyond."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from layerstore_drivers.local.writeout import write_out

T = TypeVar("T")

STEP = 8 << 20
"""Longest write in place, in bytes: whoever fences the writer waits for one, for a moment."""

BEHIND = 4 << 20
"""Bytes that the system may keep to itself, before it is asked to write them out."""


class Span:
    """The first ``size`` bytes of an open file."""

    def __init__(self, fd: int, size: int) -> None:
        """Take over a descriptor."""
        self.fd = fd
        self.size = size
        self._torn = False
        self._run = (size, size)  # bytes written one after the other that the system was not asked to write out

    def change(self, act: Callable[[], T]) -> T:
        """Change the file; whoever shares it with others overrides this."""
        return act()

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data``; if that fails, ``size`` stays (clauses W2 to W5)."""
        self.mend()
        self._torn = True
        done = 0
        while done < len(data):
            done += self.change(partial(os.pwrite, self.fd, data[done : done + STEP], offset + done))
        self.size = max(self.size, offset + done)
        self._torn = False
        self._write_out(offset, offset + done)

    def _write_out(self, start: int, stop: int) -> None:
        first = self._run[0] if self._run[1] == start else start
        if stop - first >= BEHIND:
            write_out(self.fd, first, stop - first)
            first = stop
        self._run = (first, stop)

    def mend(self) -> None:
        """Cut off what a failed write has left beyond the end, so that a later gap reads as zeros."""
        if self._torn:
            self.change(partial(os.ftruncate, self.fd, self.size))
            self._torn = False

    def stamp(self, mtime_ns: int) -> None:
        """Set the file's modification time, in nanoseconds."""
        self.change(partial(os.utime, self.fd, ns=(mtime_ns, mtime_ns)))

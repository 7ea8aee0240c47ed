"""Defects that show when one call of the system fails: it is passed over, or what was open stays open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.writing import ForgetfulWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.descriptors import Descriptor
from layerstore_conformance.kit.passing import PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer


@planted("T4")
class AFailedCallKeepsItsFile(DefectiveDriver):
    """A descriptor is closed at the end of a step, but not when an error ends the step."""

    def stat(self, key: str) -> Stat:
        """Take a step, and look."""
        self._step()
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[str]:
        """Take a step, and list."""
        self._step()
        return self.inner.list(prefix)

    def put(self, key: str, data: bytes) -> None:
        """Take a step, and put."""
        self._step()
        self.inner.put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Take a step, and open."""
        self._step()
        return self.inner.open_writer(key)

    def _step(self) -> None:
        held = self.memory.setdefault("held", [])
        held.append(Descriptor())
        os.stat(os.devnull)
        held.pop()


@planted("E1", "P1")
class APutThatFailedIsDone(DefectiveDriver):
    """A put that cannot look at its place returns, and has stored nothing."""

    def put(self, key: str, data: bytes) -> None:
        """Look, and put."""
        if _can_look():
            self.inner.put(key, data)


class _Forgetful(ForgetfulWriter):
    def stage(self, parts: list[tuple[int, bytes]]) -> None:
        os.stat(os.devnull)


@planted("W8", "W6")
class AFlushThatFailedIsForgotten(WriterDefect):
    """A flush whose first step fails has forgotten what it was given, and the next one publishes nothing."""

    writer = _Forgetful


class _RememberingReader(PassingReader):
    _has_failed = False

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if self._has_failed:
            buffer[:] = bytes(len(buffer))
            return len(buffer)
        self._has_failed = True
        os.stat(os.devnull)
        self._has_failed = False
        return super().read_at(offset, buffer)


@planted("R5", "E1")
class AReadThatFailedIsRemembered(DefectiveDriver):
    """After a read that failed a reader takes what it should have fetched for fetched, and gives zeros."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open such a reader."""
        return _RememberingReader(self.inner.open_reader(key, offset))


@planted("E1", "S3", "R3", "L4")
class WhatFailsIsMissing(DefectiveDriver):
    """What cannot be looked at is taken to be missing, whatever the error is."""

    def stat(self, key: str) -> Stat:
        """Look, or find nothing."""
        self._look(key)
        return self.inner.stat(key)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Look, and open, or find nothing."""
        self._look(key)
        return self.inner.open_reader(key, offset)

    def list(self, prefix: str) -> Iterator[str]:
        """List, or find nothing."""
        return self.inner.list(prefix) if _can_look() else iter(())

    def _look(self, key: str) -> None:
        if not _can_look():
            raise PathNotFoundError(key)


def _can_look() -> bool:
    try:
        os.stat(os.devnull)
    except OSError:
        return False
    return True

"""Defects of listings that hold something while they are half-read: others have to wait. Here they give up at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import get_ident

from layerstore.driver import Scanned
from layerstore.errors import BackendUnavailableError, DriverError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class _Holding(DefectiveDriver):
    """Holds something during a listing, which whoever puts, moves or deletes must have."""

    def held(self, prefix: str) -> AbstractContextManager[None]:
        """Hold it for the block."""
        raise NotImplementedError

    def is_free(self, key: str) -> bool:
        """Return whether nobody else holds it."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[str]:
        """List, and hold it meanwhile."""
        with self.held(prefix):
            yield from self.inner.list(prefix)

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and hold it meanwhile."""
        with self.held(prefix):
            yield from self.inner.scan(prefix)

    def put(self, key: str, data: bytes) -> None:
        """Put, if it is free."""
        self._wait(key)
        self.inner.put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, if it is free."""
        self._wait(target)
        self.inner.move(source, target, version=version)

    def delete(self, key: str) -> None:
        """Delete, if it is free."""
        self._wait(key)
        self.inner.delete(key)

    def _wait(self, key: str) -> None:
        if not self.is_free(key):
            raise BackendUnavailableError(key, "a listing has the lock")


class _HoldingByNumber(_Holding):
    """Notes who is listing, by a number."""

    def number(self) -> int:
        """Return who calls."""
        raise NotImplementedError

    @contextmanager
    def held(self, prefix: str) -> Iterator[None]:
        """Note it for the block."""
        del prefix
        number, listing = self.number(), self._listing
        listing[number] += 1
        try:
            yield
        finally:
            listing[number] -= 1

    def is_free(self, key: str) -> bool:
        """Return whether nobody else is listing."""
        del key
        return not any(count for number, count in self._listing.items() if number != self.number())

    @property
    def _listing(self) -> Counter[int]:
        found: Counter[int] = self.memory.setdefault("listing", Counter())
        return found


@planted("L4", "T1", "T6")
class AListingKeepsItsTurn(_HoldingByNumber):
    """Threads take turns, and a listing keeps the turn of its thread until it was read to its end."""

    def number(self) -> int:
        """Return the thread."""
        return get_ident()


@planted("L4", "T5", "T6")
class AListingKeepsAForkedChildWaiting(_HoldingByNumber):
    """A listing holds a lock of its process, which a forked child finds locked for good."""

    def number(self) -> int:
        """Return the process."""
        return os.getpid()


@planted("L4", "T6", "C3")
class AListingLocksOutOtherProcesses(_Holding):
    """A listing holds a lock in the store until it was read to its end: other processes change nothing below there."""

    @contextmanager
    def held(self, prefix: str) -> Iterator[None]:
        """Leave the number of the process beside what is listed."""
        self.inner.put(f"{prefix}-listed", b"%d" % os.getpid())
        try:
            yield
        finally:
            with suppress(DriverError):  # it may be collected late, amid a test whose disk fails
                self.inner.delete(f"{prefix}-listed")

    def is_free(self, key: str) -> bool:
        """Return whether no other process has left its number."""
        try:
            with self.inner.open_reader(f"{key.rpartition('/')[0]}-listed") as reader:
                return reader.readall() == b"%d" % os.getpid()
        except PathNotFoundError:
            return True

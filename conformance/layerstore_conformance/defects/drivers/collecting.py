"""Defects that show when a driver, or its half-read listing, is collected in the middle of a call of another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from layerstore.driver import Driver, Scanned, Writer
from layerstore.errors import BackendUnavailableError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class _Connected(DefectiveDriver):
    """Uses one connection with all other drivers of the store: what is closed amid a call is missed at its end."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        memory.setdefault("closed", 0)

    def call_ends(self, key: str, closed: int) -> None:
        """Fail, if the connection was closed since the call began.

        Raises:
            BackendUnavailableError: it was.
        """
        if self.memory["closed"] != closed:
            raise BackendUnavailableError(key, "the connection was closed")

    def put(self, key: str, data: bytes) -> None:
        """Put, in one connection."""
        closed = self.memory["closed"]
        self.inner.put(key, data)
        self.call_ends(key, closed)

    def open_writer(self, key: str) -> Writer:
        """Open a writer that publishes in one connection."""
        return _ConnectedWriter(self, self.inner.open_writer(key))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, in one connection."""
        closed = self.memory["closed"]
        self.inner.move(source, target, version=version)
        self.call_ends(source, closed)


class _ConnectedWriter(DefectiveWriter):
    driver: _Connected

    def publish(self) -> str:
        closed = self.driver.memory["closed"]
        version = super().publish()
        self.driver.call_ends(self.key, closed)
        return version


@planted("T1", "T2", "E4")
class ACollectedDriverEndsWhatWorks(_Connected):
    """A driver that is collected closes the connection, which other drivers use."""

    def __del__(self) -> None:
        """Close it."""
        self.memory["closed"] += 1


@planted("T1", "T2", "E4")
class ACollectedListingEndsWhatWorks(_Connected):
    """A listing that is not read to its end closes the connection when it is collected."""

    def list(self, prefix: str) -> Iterator[str]:
        """List, and close it when there is nothing left, or nobody."""
        try:
            yield from self.inner.list(prefix)
        finally:
            self.memory["closed"] += 1

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan so, too."""
        try:
            yield from self.inner.scan(prefix)
        finally:
            self.memory["closed"] += 1

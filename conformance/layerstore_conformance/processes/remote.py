"""A driver whose changes another process makes, to be used in this one as any other."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Writer
from layerstore_conformance.kit.passing import PassingDriver

if TYPE_CHECKING:
    from layerstore_conformance.processes.elsewhere import Elsewhere


class RemoteDriver(PassingDriver):
    """Another process puts, moves, deletes and writes; what is read or listed, this one does."""

    def __init__(self, inner: Driver, there: Elsewhere) -> None:
        """Read by ``inner``, and change the store that is open there."""
        super().__init__(inner)
        self._there = there
        self._numbers = count()
        self._unused: list[int] = []

    def put(self, key: str, data: bytes) -> None:
        """Put, there."""
        self._there.run(CheckedDriver.put, key, bytes(data))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, there."""
        self._there.run(CheckedDriver.move, source, target, version=version)

    def delete(self, key: str) -> None:
        """Delete, there."""
        self._there.run(CheckedDriver.delete, key)

    def open_writer(self, key: str) -> Writer:
        """Open a writer, there."""
        number, unused, self._unused = next(self._numbers), self._unused, []
        size, version = self._there.run(_open, number, key, unused)
        return _RemoteWriter(key, size, version, number, self._there, self._unused)


class _RemoteWriter(Writer):
    def __init__(
        self, key: str, size: int, version: str | None, number: int, there: Elsewhere, unused: list[int]
    ) -> None:
        super().__init__(key, size, version)
        self._number, self._there, self._unused = number, there, unused

    def write_at(self, offset: int, data: memoryview) -> None:
        self._there.run(_write, self._number, offset, bytes(data))

    def publish(self) -> str:
        return self._there.run(_publish, self._number)

    def release(self) -> None:
        """Discard it with the next call: this may be a collection, and the pipe in use."""
        self._unused.append(self._number)


_writers: dict[int, Writer] = {}
"""In the other process: the writers that are open."""


def _open(driver: CheckedDriver, number: int, key: str, unused: list[int]) -> tuple[int, str | None]:
    for each in unused:
        _writers.pop(each).discard()
    writer = _writers[number] = driver.open_writer(key)
    return writer.size, writer.version


def _write(_driver: CheckedDriver, number: int, offset: int, data: bytes) -> None:
    _writers[number].seek(offset)
    _writers[number].write(data)


def _publish(_driver: CheckedDriver, number: int) -> str:
    _writers[number].flush()
    return _writers[number].version or ""

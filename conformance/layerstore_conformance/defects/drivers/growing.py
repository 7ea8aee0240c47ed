"""Defects of cost: a call takes the longer, the more there is in the store, in the object, or in its history."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Driver, Stat, Writer

BLOCK = 1 << 14
"""Bytes read at a time."""


def _looked_at(driver: Driver, key: str) -> bool:
    """Return whether a key is among all those beside it."""
    return any(child == key for child in driver.list(key.rpartition("/")[0]))


def _read(driver: Driver, key: str) -> int:
    """Read an object block by block, and return its size."""
    size = 0
    with driver.open_reader(key) as reader:
        while block := reader.read(BLOCK):
            size += len(block)
    return size


@planted("T6")
class StatLooksAtEveryKey(DefectiveDriver):
    """To find a key, ``stat`` goes through the listing that it is in."""

    def stat(self, key: str) -> Stat:
        """Look for the key."""
        if not _looked_at(self.inner, key):
            raise PathNotFoundError(key)
        return self.inner.stat(key)


@planted("T6")
class MovesLookAtEveryKey(DefectiveDriver):
    """After a move all keys beside the target are gone through."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and look."""
        self.inner.move(source, target, version=version)
        _looked_at(self.inner, f"{target}~")


@planted("T6")
class StatReadsTheObject(DefectiveDriver):
    """To tell the size of an object, ``stat`` reads it."""

    def stat(self, key: str) -> Stat:
        """Read the object, too."""
        _read(self.inner, key)
        return self.inner.stat(key)


@planted("T6")
class OpeningReadsTheObject(DefectiveDriver):
    """To open an object for writing, it is read from beginning to end, block by block."""

    def open_writer(self, key: str) -> Writer:
        """Read what is there, and open."""
        with suppress(PathNotFoundError):
            _read(self.inner, key)
        return self.inner.open_writer(key)


class _AddingWriter(DefectiveWriter):
    def publish(self) -> str:
        version = super().publish()
        known: list[str] = self.driver.memory.setdefault(f"versions of {self.key}", [])
        for each in known:
            if each == version:
                return version
        known.append(version)
        return version


@planted("T6")
class FlushesAddUp(WriterDefect):
    """A flush goes through all versions that the object has had."""

    writer = _AddingWriter

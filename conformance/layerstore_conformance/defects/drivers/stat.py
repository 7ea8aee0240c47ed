"""Defects of ``stat``: sizes and times that are not those of the bytes, and objects that are not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from layerstore.driver import Driver, Stat, Writer
from layerstore.errors import PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted

EAST = timezone(timedelta(hours=2))
"""Where the backend's clock stands: a fixed zone, for the machine's own is often UTC."""

SOMEWHEN = datetime(1970, 1, 1, tzinfo=UTC)
"""What a backend tells that does not know a time."""


@planted("S1")
class StatSizeLags(DefectiveDriver):
    """Of an object whose size has changed, ``stat`` tells the old size once more."""

    def stat(self, key: str) -> Stat:
        """Tell the size that was found the last time."""
        found = self.inner.stat(key)
        last, self.memory[key] = self.memory.get(key, found.size), found.size
        return replace(found, size=last)


@planted("S1")
class ModifiedWithoutZone(DefectiveDriver):
    """``modified`` is a time without a zone."""

    def stat(self, key: str) -> Stat:
        """Leave out the zone."""
        found = self.inner.stat(key)
        return replace(found, modified=found.modified.replace(tzinfo=None))


@planted("S1")
class ModifiedInLocalTime(DefectiveDriver):
    """``modified`` is in the local time of the backend, two hours east of UTC."""

    def stat(self, key: str) -> Stat:
        """Tell the same moment in another zone."""
        found = self.inner.stat(key)
        return replace(found, modified=found.modified.astimezone(EAST))


@planted("S1")
class LocalTimeCalledUtc(DefectiveDriver):
    """``modified`` says that it is in UTC, and is the local time of the backend, two hours east of that."""

    def stat(self, key: str) -> Stat:
        """Tell another moment."""
        found = self.inner.stat(key)
        return replace(found, modified=found.modified.astimezone(EAST).replace(tzinfo=UTC))


@planted("S1")
class ModifiedUnknown(DefectiveDriver):
    """``modified`` is the beginning of 1970 for every object, as of a backend that keeps no times."""

    def stat(self, key: str) -> Stat:
        """Tell the beginning of time."""
        return replace(self.inner.stat(key), modified=SOMEWHEN)


@planted("S1")
class ModifiedIsNow(DefectiveDriver):
    """``modified`` is the moment at which ``stat`` was called."""

    def stat(self, key: str) -> Stat:
        """Tell the time of day."""
        return replace(self.inner.stat(key), modified=datetime.now(UTC))


@planted("S1", "S2")
class StatCached(DefectiveDriver):
    """A handle tells of an object what it was told the first time, whatever has become of it."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Begin with nothing told."""
        super().__init__(inner, memory)
        self._told: dict[str, Stat] = {}

    def stat(self, key: str) -> Stat:
        """Ask once."""
        if key not in self._told:
            self._told[key] = self.inner.stat(key)
        return self._told[key]


@planted("S3", "E1")
class MissingKeyHasAStat(DefectiveDriver):
    """A key under which and below which there is nothing has a size of 0."""

    def stat(self, key: str) -> Stat:
        """Tell of an empty object where there is nothing."""
        try:
            return self.inner.stat(key)
        except PathNotFoundError:
            if next(self.inner.list(key), None):
                raise
            return Stat(0, SOMEWHEN, "none")


@planted("S3")
class PrefixHasAStat(DefectiveDriver):
    """A prefix has a stat, as a directory has."""

    def stat(self, key: str) -> Stat:
        """Tell of an empty object where something lies below."""
        try:
            return self.inner.stat(key)
        except PathNotFoundError:
            if not next(self.inner.list(key), None):
                raise
            return Stat(0, SOMEWHEN, "directory")


@planted("S2", "W1")
class OpeningMakesAVersion(DefectiveDriver):
    """Opening a writer of an object stores the object anew, at another version."""

    def open_writer(self, key: str) -> Writer:
        """Copy the object onto itself, and open the copy."""
        try:
            with self.inner.open_reader(key) as reader:
                data = reader.readall()
        except PathNotFoundError:
            return self.inner.open_writer(key)
        self.inner.put(key, data)
        return self.inner.open_writer(key)

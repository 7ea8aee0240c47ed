"""Defects of ``stat``: wrong sizes and times, and objects that are not there."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from layerstore.driver import Driver, Stat, Writer
from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted

EAST = timezone(timedelta(hours=2))
"""Where the backend's clock stands: a fixed zone, for the machine's own is often UTC."""

SOMEWHEN = datetime(1970, 1, 1, tzinfo=UTC)
"""The time that a backend returns if it knows none."""


@planted("S1")
class StatSizeLags(DefectiveDriver):
    """After a change of an object's size, ``stat`` returns the old size once more."""

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
    """``modified`` claims to be in UTC, and is the backend's local time, two hours east of it."""

    def stat(self, key: str) -> Stat:
        """Tell another moment."""
        found = self.inner.stat(key)
        return replace(found, modified=found.modified.astimezone(EAST).replace(tzinfo=UTC))


@planted("S1")
class ModifiedUnknown(DefectiveDriver):
    """``modified`` is the beginning of 1970 for every object, as on a backend that keeps no times."""

    def stat(self, key: str) -> Stat:
        """Tell the beginning of time."""
        return replace(self.inner.stat(key), modified=SOMEWHEN)


@planted("S1")
class ModifiedIsNow(DefectiveDriver):
    """``modified`` is the moment at which ``stat`` was called."""

    def stat(self, key: str) -> Stat:
        """Tell the time of day."""
        return replace(self.inner.stat(key), modified=datetime.now(UTC))


@planted("S1", "E1")
class TimesAreShort(DefectiveDriver):
    """``stat`` fails for a time before 1970, or one from 2106 on."""

    def stat(self, key: str) -> Stat:
        """Keep the time in four bytes."""
        found = self.inner.stat(key)
        (kept,) = struct.unpack("<I", struct.pack("<I", math.floor(found.modified.timestamp())))
        return replace(found, modified=datetime.fromtimestamp(kept, UTC))


@planted("S1", "S2")
class StatCached(DefectiveDriver):
    """A handle repeats the first ``stat`` of an object, whatever has happened since."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Begin with no stat."""
        super().__init__(inner, memory)
        self._told: dict[str, Stat] = {}

    def stat(self, key: str) -> Stat:
        """Ask once."""
        if key not in self._told:
            self._told[key] = self.inner.stat(key)
        return self._told[key]


@planted("S3", "E1")
class MissingKeyHasAStat(DefectiveDriver):
    """A missing key has a size of 0."""

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
    """An open of a writer stores the object anew, with a new version."""

    def open_writer(self, key: str) -> Writer:
        """Copy the object onto itself, and open the copy."""
        try:
            with self.inner.open_reader(key) as reader:
                data = reader.readall()
        except PathNotFoundError:
            return self.inner.open_writer(key)
        self.inner.put(key, data)
        return self.inner.open_writer(key)


class _DatingWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.since: datetime | None = None

    def publish(self) -> str:
        version = super().publish()
        if self.since is not None:
            self.driver.memory[f"time of {version}"] = self.since
        self.since = None
        return version


class _FirstWriteWriter(_DatingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        self.since = self.since or datetime.now(UTC)
        super().write_at(offset, data)


class DatingDriver(WriterDefect):
    """A driver that keeps another time of what its writers published."""

    def stat(self, key: str) -> Stat:
        """Tell that time."""
        found = self.inner.stat(key)
        return replace(found, modified=self.memory.get(f"time of {found.version}", found.modified))


@planted("S1")
class ModifiedIsOfTheFirstWrite(DatingDriver):
    """``modified`` is the time of the first write since the last flush."""

    writer = _FirstWriteWriter


class _OpenedWriter(_DatingWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.since = datetime.now(UTC)


@planted("S1")
class ModifiedIsOfTheOpening(DatingDriver):
    """``modified`` of a writer's first flush is the time at which the writer was opened."""

    writer = _OpenedWriter

"""Defects of versions: they do not change with the bytes, change without them, or differ by handle."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from dataclasses import replace

from layerstore.driver import Reader, Stat, Writer
from layerstore.errors import FencedError
from layerstore_conformance.defects.drivers.putting import content
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingWriter


class VersionedDriver(DefectiveDriver):
    """A driver with versions of its own, on which stat, reader, writer and move agree."""

    @abstractmethod
    def version_of(self, key: str, found: Stat) -> str:
        """Make the version of an object of what is known of it."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader of such a version."""
        reader = self.inner.open_reader(key, offset)
        reader.version = self.stat(key).version
        return reader

    def open_writer(self, key: str) -> Writer:
        """Open a writer at such a version."""
        return _VersionedWriter(self, self.inner.open_writer(key))

    def stat(self, key: str) -> Stat:
        """Tell such a version."""
        found = self.inner.stat(key)
        return replace(found, version=self.version_of(key, found))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move at such a version."""
        found = self.inner.stat(source)
        if version not in (None, self.version_of(source, found)):
            raise FencedError(source, "at another version")
        self.inner.move(source, target, version=found.version if version else None)


class _VersionedWriter(PassingWriter):
    def __init__(self, driver: VersionedDriver, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver
        self.version = driver.stat(self.key).version if inner.version else None

    def publish(self) -> str:
        super().publish()
        return self._driver.stat(self.key).version


@planted("S2")
class VersionNeverChanges(VersionedDriver):
    """Every object always has version 1."""

    def version_of(self, key: str, found: Stat) -> str:
        """Call it the first."""
        del key, found
        return "1"


@planted("S2")
class VersionIsTheSize(VersionedDriver):
    """The version is the size: other bytes of the same size have the same version."""

    def version_of(self, key: str, found: Stat) -> str:
        """Tell the size."""
        del key
        return str(found.size)


@planted("S2")
class VersionIsTheSecond(VersionedDriver):
    """The version is the time in whole seconds: two changes within a second are one."""

    def version_of(self, key: str, found: Stat) -> str:
        """Tell the second."""
        del key
        return str(int(found.modified.timestamp()))


@planted("S2")
class VersionIsAHash(VersionedDriver):
    """The version is a hash of the bytes: an object made anew of the same bytes has the old version."""

    def version_of(self, key: str, found: Stat) -> str:
        """Hash the object."""
        del found
        with self.inner.open_reader(key) as reader:
            return hashlib.sha256(reader.readall()).hexdigest()


@planted("S2")
class VersionChangesOnReading(VersionedDriver):
    """Every opened reader changes the version, as a time of last access does."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader, and count it."""
        reader = super().open_reader(key, offset)
        self._readers()[key] += 1
        return reader

    def version_of(self, key: str, found: Stat) -> str:
        """Add how often the object was read."""
        return f"{found.version}-{self._readers()[key]}"

    def _readers(self) -> Counter[str]:
        found: Counter[str] = self.memory.setdefault("readers", Counter())
        return found


@planted("S2")
class PutsAndFlushesCountedApart(VersionedDriver):
    """The version is the number of puts, or, after a flush, the number of flushes."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and count."""
        self.inner.put(key, data)
        self.count(key, "puts")

    def open_writer(self, key: str) -> Writer:
        """Open a writer that counts."""
        return _CountingWriter(self, self.inner.open_writer(key))

    def count(self, key: str, changes: str) -> None:
        """Count a change, unless there was none."""
        counts: Counter[str] = self.memory.setdefault(changes, Counter())
        told: dict[tuple[str, str], str] = self.memory.setdefault("told", {})
        found = self.inner.stat(key).version
        if (key, found) not in told:
            counts[key] += 1
            told[key, found] = str(counts[key])

    def version_of(self, key: str, found: Stat) -> str:
        """Tell the count; of what was moved, there is none."""
        told: dict[tuple[str, str], str] = self.memory.get("told", {})
        return told.get((key, found.version), f"moved-{found.version}")


class _CountingWriter(_VersionedWriter):
    def __init__(self, driver: PutsAndFlushesCountedApart, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._counting = driver

    def publish(self) -> str:
        super().publish()
        self._counting.count(self.key, "flushes")
        return self._counting.stat(self.key).version


@planted("S2")
class AVersionMovesWithItsObject(VersionedDriver):
    """An object keeps its version when it is moved."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and remember the version."""
        before = self.stat(source).version
        super().move(source, target, version=version)
        self._moved()[target, self.inner.stat(target).version] = before

    def version_of(self, key: str, found: Stat) -> str:
        """Tell the version from before it was moved."""
        return self._moved().get((key, found.version), found.version)

    def _moved(self) -> dict[tuple[str, str], str]:
        moved: dict[tuple[str, str], str] = self.memory.setdefault("moved", {})
        return moved


@planted("S2")
class VersionOfAReaderDiffers(DefectiveDriver):
    """A reader's version is in quotation marks, as in HTTP; those of ``stat`` and writers are not."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that quotes its version."""
        reader = self.inner.open_reader(key, offset)
        reader.version = f'"{reader.version}"'
        return reader


@planted("S2", "W6")
class FlushReturnsAnotherVersion(DefectiveDriver):
    """A flush returns the version that it has replaced, if there was one, not the new one."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that asks too early."""
        return _EarlyWriter(self.inner.open_writer(key))


class _EarlyWriter(PassingWriter):
    def __init__(self, inner: Writer) -> None:
        super().__init__(inner)
        self._visible = inner.version

    def publish(self) -> str:
        before, self._visible = self._visible, super().publish()
        return before or self._visible


@planted("S2", "P1")
class PutStoresItsNeighboursAnew(DefectiveDriver):
    """A put stores what lies beside its key once more."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and store the others again."""
        self.inner.put(key, data)
        for child in list(self.inner.list(key.rpartition("/")[0])):
            if child != key and not child.endswith("/"):
                self.inner.put(child, content(self.inner, child) or b"")

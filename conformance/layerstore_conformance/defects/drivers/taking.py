"""Defects of taken keys: a scan tells a wrong time, or for too long, or equal bytes fence nobody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from layerstore.driver import Scanned, Unpublished, Writer
from layerstore.errors import PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import is_stored
from layerstore_conformance.kit.passing import PassingWriter


class _TellsWhatIsTaken(DefectiveDriver):
    """Tells in a scan which keys directly below were taken and never published, and when."""

    def time(self) -> datetime:
        """Return the present time, or what is taken for it."""
        raise NotImplementedError

    def open_writer(self, key: str) -> Writer:
        """Open, and note when."""
        writer = self.inner.open_writer(key)
        self.memory.setdefault("taken", {})[key] = self.time()
        return writer

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and tell."""
        yield from (each for each in self.inner.scan(prefix) if not isinstance(each, Unpublished))
        for key, time in list(self.memory.get("taken", {}).items()):
            if key.rpartition("/")[0] == prefix and not is_stored(self.inner, key):
                yield Unpublished(key, time)


@planted("L6")
class TakenInLocalTime(_TellsWhatIsTaken):
    """The time at which a key was taken is that of the local clock, and is called UTC."""

    def time(self) -> datetime:
        """Return it so."""
        return datetime.now().astimezone().replace(tzinfo=UTC)


class _TouchingWriter(PassingWriter):
    def __init__(self, inner: Writer, taken: dict[str, datetime]) -> None:
        super().__init__(inner)
        self._taken = taken

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._taken[self.key] = datetime.now(UTC)


@planted("L6")
class TakenIsOfTheLastWrite(_TellsWhatIsTaken):
    """The time at which a key was taken is that of the last write."""

    def time(self) -> datetime:
        """Return the present time."""
        return datetime.now(UTC)

    def open_writer(self, key: str) -> Writer:
        """Open a writer that notes when it writes."""
        return _TouchingWriter(super().open_writer(key), self.memory["taken"])


@planted("L6")
class TakenWithoutAZone(_TellsWhatIsTaken):
    """The time at which a key was taken does not say its zone."""

    def time(self) -> datetime:
        """Return it so."""
        return datetime.now(UTC).replace(tzinfo=None)


@planted("L6")
class TakenIsUnknown(_TellsWhatIsTaken):
    """The time at which a key was taken is that of the epoch."""

    def time(self) -> datetime:
        """Return it so."""
        return datetime(1970, 1, 1, tzinfo=UTC)


class _CrossingOffWriter(PassingWriter):
    """Leaves what it took to the next writer of any key."""

    def __init__(self, driver: WhatWasDiscardedIsCrossedOffTooEarly, inner: Writer) -> None:
        super().__init__(inner)
        self._unused: list[str] = driver.memory.setdefault("unused", [])

    def release(self) -> None:
        super().release()
        self._unused.append(self.key)


@planted("T4", "W7")
class WhatWasDiscardedIsCrossedOffTooEarly(_TellsWhatIsTaken):
    """The next writer clears away what was discarded, and has crossed that off its list before it is done."""

    def time(self) -> datetime:
        """Return it."""
        return datetime.now(UTC)

    def open_writer(self, key: str) -> Writer:
        """Clear away, and open."""
        unused: list[str] = self.memory.setdefault("unused", [])
        cleared = [*unused]
        unused.clear()
        writer = super().open_writer(key)
        for each in cleared:
            if each != key:
                self.memory["taken"].pop(each, None)
        return _CrossingOffWriter(self, writer)


@planted("L6", "F1")
class TakenIsOfTheFirstTaking(_TellsWhatIsTaken):
    """The time at which a key was taken is that of its first writer, whoever has taken it since."""

    def time(self) -> datetime:
        """Return the present time."""
        return datetime.now(UTC)

    def open_writer(self, key: str) -> Writer:
        """Open, and note when it was for the first time."""
        before = self.memory.setdefault("taken", {}).get(key)
        writer = super().open_writer(key)
        if before is not None:
            self.memory["taken"][key] = before
        return writer


@planted("L6", "F1")
class TakenIsOfTheFirstTakingUntilADelete(TakenIsOfTheFirstTaking):
    """The time at which a key was taken is that of its first writer since the key was deleted, or moved away."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and forget."""
        self.inner.move(source, target, version=version)
        self.memory.setdefault("taken", {}).pop(source, None)

    def delete(self, key: str) -> None:
        """Delete, and forget."""
        self.inner.delete(key)
        taken: dict[str, datetime] = self.memory.setdefault("taken", {})
        for each in [each for each in taken if f"{each}/".startswith(f"{key}/")]:
            del taken[each]


def _is_the_same(driver: DefectiveDriver, key: str, data: bytes) -> bool:
    """Return whether an object has these bytes already."""
    try:
        with driver.inner.open_reader(key) as reader:
            return reader.size == len(data) and reader.readall() == data
    except PathNotFoundError:
        return False


@planted("F2", "F3")
class APutOfTheSameIsSkipped(DefectiveDriver):
    """A put of the bytes that are there does nothing, and fences nobody."""

    def put(self, key: str, data: bytes) -> None:
        """Put, unless it is there."""
        if not _is_the_same(self, key, data):
            self.inner.put(key, data)


@planted("F2", "F3")
class AMoveOverTheSameIsADelete(DefectiveDriver):
    """A move over an object of the same bytes deletes its source, and fences no writer of its target."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or delete the source."""
        with self.inner.open_reader(source) as reader:
            same = version in (None, reader.version) and _is_the_same(self, target, reader.readall())
        if same:
            self.inner.delete(source)
        else:
            self.inner.move(source, target, version=version)

"""Families of numbers: bits of a size, the count of entries, calls and versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_conformance.defects.drivers.stat_versions import VersionedDriver
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.passing import PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer

BITS = range(25, 34)
"""Bits that a number is cut to."""


@planted("S1", bits=BITS)
class StatSizeTruncated(DefectiveDriver):
    """The size of ``stat`` has only so many bits."""

    def stat(self, key: str) -> Stat:
        """Cut the size."""
        found = self.inner.stat(key)
        return replace(found, size=found.size % (1 << self.at["bits"]))


class _TruncatingReader(PassingReader):
    def __init__(self, inner: Reader, bits: int, *, size: bool) -> None:
        super().__init__(inner)
        self._range = 1 << bits
        if size:
            self.size %= self._range

    def read_at(self, offset: int, buffer: memoryview) -> int:
        return super().read_at(offset % self._range, buffer)


@planted("R5", bits=BITS)
class ReadOffsetTruncated(DefectiveDriver):
    """The offset of a read has only so many bits."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Cut the offsets."""
        return _TruncatingReader(self.inner.open_reader(key, offset), self.at["bits"], size=False)


@planted("R1", bits=BITS)
class ReaderSizeTruncated(DefectiveDriver):
    """The size of a reader has only so many bits."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Cut the size."""
        return _TruncatingReader(self.inner.open_reader(key, offset), self.at["bits"], size=True)


class _TruncatingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        bits = self.driver.at["bits"]
        if offset >> bits:
            self.inner.seek(offset + len(data) - 1)
            self.inner.write(b"\0")  # the size is right, and the bytes are elsewhere
        super().write_at(offset % (1 << bits), data)


@planted("W5", "W4", bits=BITS)
class WriteOffsetTruncated(WriterDefect):
    """The offset of a write has only so many bits, and the size is right."""

    writer = _TruncatingWriter


class _ReopenedWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.size %= 1 << driver.at["bits"]
        self.seek(self.size)


@planted("W1", bits=BITS)
class ReopenedSizeTruncated(WriterDefect):
    """The size of a writer of an object has only so many bits, and it begins there."""

    writer = _ReopenedWriter


@planted("L4", nth=range(2, 5000))
class ListingLosesTheNth(DefectiveDriver):
    """One entry of a listing, the last of a page, is lost."""

    def list(self, prefix: str) -> Iterator[str]:
        """List all but one."""
        children = self.inner.list(prefix)
        yield from islice(children, self.at["nth"] - 1)
        next(children, None)
        yield from children


@planted("L4", cap=range(2, 5000))
class ListingCappedAt(DefectiveDriver):
    """A listing ends after so many entries."""

    def list(self, prefix: str) -> Iterator[str]:
        """List a page."""
        return islice(self.inner.list(prefix), self.at["cap"])


@planted("D1", cap=range(2, 5000))
class DeleteCappedAt(DefectiveDriver):
    """A delete deletes at most so many objects."""

    def delete(self, key: str) -> None:
        """Delete a page."""
        page = tuple(islice(keys_below(self.inner, key), self.at["cap"]))
        for each in page if len(page) == self.at["cap"] else (key,):
            self.inner.delete(each)


@planted("L4", page=range(2, 1001))
class PagesByPosition(DefectiveDriver):
    """The next page of a listing begins at a number: what goes meanwhile makes it skip others."""

    def list(self, prefix: str) -> Iterator[str]:
        """List by pages."""
        start, size = 0, self.at["page"]
        while page := tuple(islice(self.inner.list(prefix), start, start + size)):
            yield from page
            start += size


@planted("L1", "L4", above=range(1, 257))
class LargeListingCached(DefectiveDriver):
    """A handle lists a prefix of many entries once, and yields the same whenever it is asked again."""

    def list(self, prefix: str) -> Iterator[str]:
        """List from memory."""
        cached = self.__dict__.setdefault("_listed", {})
        if prefix not in cached:
            children = tuple(self.inner.list(prefix))
            if len(children) < self.at["above"]:
                return iter(children)
            cached[prefix] = children
        return iter(cached[prefix])


@planted("S2", period=range(2, 250))
class VersionWraps(VersionedDriver):
    """Versions are numbers that begin anew after so many."""

    def version_of(self, key: str, found: Stat) -> str:
        """Number the versions of a key."""
        numbers: dict[str, int] = self.memory.setdefault(f"versions of {key}", {})
        return str(numbers.setdefault(found.version, len(numbers)) % self.at["period"])


class _NumberingWriter(DefectiveWriter):
    def publish(self) -> str:
        version = super().publish()
        numbers: dict[str, int] = self.driver.memory.setdefault(f"numbers of {self.key}", {})
        return str(numbers.setdefault(version, len(numbers)) % self.driver.at["period"])


@planted("S2", "W6", period=(300, 512, 1000, 1024))
class VersionWrapsLate(WriterDefect):
    """The versions that a flush returns are numbers that begin anew after so many."""

    writer = _NumberingWriter


class _PlacedReader(PassingReader):
    def __init__(self, inner: Reader, memory: dict[str, Any], place: int) -> None:
        super().__init__(inner)
        self._places: dict[int, Reader] = memory.setdefault("places", {})
        self._place = place
        self._places[place] = inner

    def read_at(self, offset: int, buffer: memoryview) -> int:
        inner = self._places[self._place]
        if inner is self.inner:
            return super().read_at(offset, buffer)
        buffer[:1] = b"?"  # what the other one has there
        return 1


@planted("R4", "T2", readers=(64, 128, 200, 256))
class SoManyReadersLater(DefectiveDriver):
    """Readers have places in a table of so many, each in turn: one that comes later has the place of the first."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader at the next place."""
        count = self.memory["opened"] = self.memory.get("opened", 0) + 1
        return _PlacedReader(self.inner.open_reader(key, offset), self.memory, count % self.at["readers"])


@planted("E4", "T2", refusals=(64, 100, 256, 1000, 1024))
class RefusalsTakeSlots(DefectiveDriver):
    """So many refused openings, and no reader is opened any more: each has taken a place, and none gave it back."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, if there is a place."""
        if self.memory.get("taken", 0) >= self.at["refusals"]:
            raise BackendUnavailableError(key, "no place is left")
        self.memory["taken"] = self.memory.get("taken", 0) + 1
        reader = self.inner.open_reader(key, offset)
        self.memory["taken"] -= 1
        return reader


def _is_nth(memory: dict[str, Any], what: str, period: int) -> bool:
    count: int = memory.get(what, 0) + 1
    memory[what] = count
    return count % period == 0


@planted("P1", period=range(2, 150))
class NthPutLost(DefectiveDriver):
    """One put in so many is not stored."""

    def put(self, key: str, data: bytes) -> None:
        """Put, or not."""
        if not _is_nth(self.memory, "puts", self.at["period"]):
            self.inner.put(key, data)


class _FlushLosingWriter(DefectiveWriter):
    _flushes = 0

    def publish(self) -> str:
        self._flushes += 1
        if self._flushes % self.driver.at["period"] == 0:
            return self.version or ""
        return super().publish()


@planted("W6", period=range(2, 250))
class NthFlushLost(WriterDefect):
    """One flush of a writer in so many publishes nothing."""

    writer = _FlushLosingWriter


class _WriteLosingWriter(DefectiveWriter):
    _writes = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        self._writes += 1
        lost = self._writes % self.driver.at["period"] == 0
        super().write_at(offset, memoryview(bytes(len(data))) if lost else data)


@planted("W2", period=range(2, 5000))
class NthWriteLost(WriterDefect):
    """One write of a writer in so many stores zeros."""

    writer = _WriteLosingWriter


class _ForgottenWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        opened: dict[str, int] = driver.memory.setdefault("opened", {})
        self._number = opened[self.key] = opened.get(self.key, 0) + 1
        self._refused = 0

    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            self._refused += 1
            if self.forgotten():
                return self.version or ""
            raise

    def forgotten(self) -> bool:
        """Return whether the fence is forgotten."""
        opened: int = self.driver.memory["opened"][self.key]
        most: int = self.driver.at["writers"]
        return opened - self._number >= most


@planted("F3", "F1", writers=range(1, 64))
class FencingForgets(WriterDefect):
    """The flush of a writer that was fenced by so many others returns, and does nothing."""

    writer = _ForgottenWriter


class _OnceRefusedWriter(_ForgottenWriter):
    def forgotten(self) -> bool:
        most: int = self.driver.at["times"]
        return self._refused > most


@planted("F3", times=(1, 2))
class FencedOnceOnly(WriterDefect):
    """A fenced writer raises so many times, and after that its flush returns and does nothing."""

    writer = _OnceRefusedWriter

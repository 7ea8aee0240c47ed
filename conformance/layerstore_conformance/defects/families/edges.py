"""Families of defects at edges: near the published end, at no bytes, at a page's end, at so many writers, at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from layerstore.driver import Reader, Stat, Writer
from layerstore.errors import InvalidOffsetError, PathNotFoundError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted


@planted("W6", "W7", edge=(-1, 0, 1))
class WriteAtAnEdgeIsSeen(DefectiveDriver):
    """A write that begins near the published end is made in the published block, and seen at once."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that publishes such a write."""
        return _Edgy(self, self.inner.open_writer(key))


class _Edgy(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._published = inner.size

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        if offset == self._published + self.driver.at["edge"]:
            self.publish()

    def publish(self) -> str:
        version = super().publish()
        self._published = self.inner.size
        return version


@planted("W6", "W7")
class AnAppendIsPublishedAtItsFirstFlushOnly(DefectiveDriver):
    """What was appended after a writer's first flush, and flushed, is written over in the published block."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that knows the end of its first flush."""
        return _KnowingOneEnd(self, self.inner.open_writer(key))


class _KnowingOneEnd(DefectiveWriter):
    _first = _last = 1 << 62

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        if self._first <= offset < self._last:
            super().publish()

    def publish(self) -> str:
        version = super().publish()
        self._first, self._last = min(self._first, self.inner.size), self.inner.size
        return version


class _GoingOn(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        if self.version is not None and self.driver.inner.stat(self.key).version != self.version:
            with self.driver.inner.open_writer(self.key) as other:
                other.seek(offset)
                other.write(data)
            return
        super().write_at(offset, data)


@planted("F3", "F4")
class FencedWriterWritesOn(WriterDefect):
    """A writer that was fenced writes into the block that the next writer has published."""

    writer = _GoingOn


class _RenewingEmpty(DefectiveWriter):
    def publish(self) -> str:
        before = self.version
        version = super().publish()
        if before is None or self.size:
            return version
        self.driver.inner.put(self.key, b"")
        self.inner = self.driver.inner.open_writer(self.key)
        return self.inner.version or ""


@planted("W6", "S2")
class EmptyFlushMakesAVersion(WriterDefect):
    """A flush of nothing new gives an object of no bytes another version."""

    writer = _RenewingEmpty


@planted("L2", page=range(100, 2500))
class PrefixAgainForEachPage(DefectiveDriver):
    """A prefix is listed once for each page of the keys below it."""

    def list(self, prefix: str) -> Iterator[str]:
        """Repeat a prefix that has more than a page below it."""
        for child in self.inner.list(prefix):
            yield child
            if child.endswith("/"):
                below = sum(1 for _ in islice(self.inner.list(child.rstrip("/")), self.at["page"] + 1))
                yield from [child] if below > self.at["page"] else []


@planted("T2", "F3", writers=range(20, 1000))
class FencesOfSoManyWriters(DefectiveDriver):
    """The fences of so many keys are remembered: one more, and the oldest writer is fenced."""

    def open_writer(self, key: str) -> Writer:
        """Forget the oldest."""
        known: OrderedDict[str, None] = self.memory.setdefault("known", OrderedDict())
        known[key] = None
        if len(known) > self.at["writers"]:
            oldest, _ = known.popitem(last=False)
            self.inner.open_writer(oldest).discard()
        return self.inner.open_writer(key)


@planted("S1", digits=(3, 6))
class FractionWithoutLeadingZeros(DefectiveDriver):
    """The fraction of ``modified`` is written without its leading zeros, and read as one that has them."""

    def stat(self, key: str) -> Stat:
        """Write and read the fraction."""
        found = self.inner.stat(key)
        fraction = str(found.modified.microsecond // 10 ** (6 - self.at["digits"]))
        return replace(found, modified=found.modified.replace(microsecond=int(f"{fraction:0<6}"[:6])))


@planted("R3", offset=(1, 700, 2**31, 2**63))
class MissingIsEmptyAtAnOffset(DefectiveDriver):
    """A missing key is taken for an object of no bytes when an offset is compared with its size."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Refuse the offset, and not the key."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            if offset >= self.at["offset"]:
                raise InvalidOffsetError(key, f"offset {offset} of 0 bytes") from None
            raise


@planted("R2", bits=(31, 32, 53, 63, 64))
class OffsetWraps(DefectiveDriver):
    """The offset of a new reader has only so many bits."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Cut it."""
        return self.inner.open_reader(key, offset % (1 << self.at["bits"]))


class _KeepingBlocks(DefectiveWriter):
    _kept: range | None = None

    def write_at(self, offset: int, data: memoryview) -> None:
        if self._kept is not None and offset in self._kept:
            return
        super().write_at(offset, data)
        if len(data) == self.driver.at["block"]:
            self._kept = range(offset, offset + len(data) - 5)

    def publish(self) -> str:
        self._kept = None
        return super().publish()


@planted("W5", "W2", block=(4 << 10, 64 << 10, 1 << 20, 4 << 20))
class BlockJustWrittenStays(WriterDefect):
    """A block that was just written as a whole stays as it is, whatever is written into it until the flush."""

    writer = _KeepingBlocks


class _Remembering(DefectiveWriter):
    _flushed = False

    def write_at(self, offset: int, data: memoryview) -> None:
        given_up: dict[str, bytes] = self.driver.memory.setdefault("given up", {})
        if self._flushed and offset == self.size and len(data) <= self.driver.at["most"]:
            given_up[self.key] = bytes(data)
        end = self.size
        super().write_at(offset, data)
        if not self._flushed and offset > end and self.key in given_up:
            super().write_at(end, memoryview(given_up[self.key]))

    def publish(self) -> str:
        version = super().publish()
        self._flushed = True
        self.driver.memory.setdefault("given up", {}).pop(self.key, None)
        return version


@planted("W4", "W7", most=(1, 2))
class LastByteGivenUpShows(WriterDefect):
    """A byte or two that a writer has given up behind the end show in the next writer's gap; more would not."""

    writer = _Remembering

"""Families of sizes: what is an exact multiple of a block, or above a threshold, loses something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.putting import content
from layerstore_conformance.defects.drivers.writing import CuttingWriter, DefectiveWriter, GatheringWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.driver import Driver, Reader, Writer

POWERS = tuple(1 << power for power in range(12, 25))

BLOCKS = (*POWERS, 10**6, 3 * MIB, 5 * MIB, 5 << 12, 5 << 16, 3 << 12, 3 << 18)
"""Bytes: what backends and their libraries take at a time."""

THRESHOLDS = range(1, 16 * MIB)
"""Bytes above which an object is large."""


def _without_last(data: bytes, block: int, how: str) -> bytes:
    return data[:-block] + (bytes(block) if how == "zeros" else b"")


@planted("P1", block=BLOCKS, how=("cut", "zeros"))
class PutLosesABlock(DefectiveDriver):
    """A put of an exact multiple of a block loses the last block."""

    def put(self, key: str, data: bytes) -> None:
        """Put all but the last block."""
        block = self.at["block"]
        lost = data and len(data) % block == 0
        self.inner.put(key, _without_last(data, block, self.at["how"]) if lost else data)


class _BlockWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        block = self.driver.at["block"]
        lost = len(data) % block == 0
        super().write_at(offset, memoryview(_without_last(bytes(data), block, "zeros")) if lost else data)


@planted("W2", block=BLOCKS)
class WriteLosesABlock(WriterDefect):
    """A write of an exact multiple of a block loses the last block."""

    writer = _BlockWriter


class _ShorteningWriter(CuttingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        end = max(self.size, offset + len(data))
        self.cut = end - 1 if end > self.driver.at["above"] else None


@planted("W6", above=THRESHOLDS)
class FlushCutsLarge(WriterDefect):
    """A flush of an object above a size loses its last byte."""

    writer = _ShorteningWriter


@planted("M1", above=THRESHOLDS)
class MoveCutsLarge(DefectiveDriver):
    """A move of an object above a size loses the last byte."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and cut."""
        self.inner.move(source, target, version=version)
        if self.inner.stat(target).size > self.at["above"]:
            self.inner.put(target, (content(self.inner, target) or b"")[:-1])


class _BlockReader(PassingReader):
    def __init__(self, inner: Reader, block: int) -> None:
        super().__init__(inner)
        self._block = block

    def read_at(self, offset: int, buffer: memoryview) -> int:
        count = super().read_at(offset, buffer)
        if (offset + count) % self._block == 0:
            buffer[count - 1 : count] = b"\0" if buffer[count - 1] else b"\1"
        return count


@planted("R5", block=(*POWERS, 10**6))
class ReadAtLosesABlock(DefectiveDriver):
    """A read that ends at an exact multiple of a block has another last byte."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Read by blocks."""
        return _BlockReader(self.inner.open_reader(key, offset), self.at["block"])


class StaleDriver(WriterDefect):
    """A driver whose files keep what was once written there, for gaps to show."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and leave the bytes there."""
        self.inner.put(key, data)
        self.leave(key, 0, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, over what was there."""
        self.inner.move(source, target, version=version)

    def leave(self, key: str, offset: int, data: bytes | memoryview) -> None:
        """Leave bytes in the key's file."""
        file = self.stale(key)
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(data)] = data

    def stale(self, key: str) -> bytearray:
        """Return what was ever written under a key."""
        files: dict[str, bytearray] = self.memory.setdefault("files", {})
        return files.setdefault(key, bytearray())


class _StaleWriter(DefectiveWriter):
    driver: StaleDriver

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.flushed = self.size

    def write_at(self, offset: int, data: memoryview) -> None:
        stale = self.driver.stale(self.key)
        for start, stop in self.kept(self.size, offset):
            if part := stale[start:stop]:
                super().write_at(start, memoryview(part))
        super().write_at(offset, data)
        self.driver.leave(self.key, offset, data)

    def publish(self) -> str:
        version = super().publish()
        self.flushed = self.size
        return version

    def kept(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        """Return the ranges of a gap that are not cleared."""
        raise NotImplementedError


class _BlockGapWriter(_StaleWriter):
    def kept(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        block = self.driver.at["block"]
        if self.driver.at["blocks"] == "of the gap":
            return ((start, stop),) if start < stop and (stop - start) % block == 0 else ()
        first, last = -(-start // block) * block, stop // block * block
        return ((first, last),) if first < last else ()


@planted("W4", "W7", block=tuple(1 << power for power in range(12, 23)), blocks=("of the object", "of the gap"))
class GapKeepsWholeBlocks(StaleDriver):
    """Whole blocks of a gap are not cleared, and hold what once lay there."""

    writer = _BlockGapWriter


class _LongGapWriter(_StaleWriter):
    def kept(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        above = self.driver.at["above"]
        return ((start + above, stop),) if stop - start > above else ()


@planted("W4", "W7", above=range(1, 4 * MIB))
class GapBeyondASizeIsStale(StaleDriver):
    """What a gap has beyond its first bytes is not cleared, and holds what once lay there."""

    writer = _LongGapWriter


class _SpareWriter(_StaleWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._again = False

    def write_at(self, offset: int, data: memoryview) -> None:
        room = self.driver.at["room"]
        spare = self._again and self.flushed <= offset and offset + len(data) <= self.flushed + room
        self.spare(offset, data) if spare else super().write_at(offset, data)

    def spare(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.driver.memory[f"{self.key}, spare"] = self.flushed

    def publish(self) -> str:
        self._again = True
        self.driver.memory.pop(f"{self.key}, spare", None)
        return super().publish()

    def kept(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        begins = self.driver.memory.get(f"{self.key}, spare")
        return ((start, min(stop, start + self.driver.at["room"])),) if begins == start and start < stop else ()


@planted("W4", "W7", room=range(1, 4096))
class SpareRoomShows(StaleDriver):
    """A few bytes that were appended behind flushed ones, and discarded, are in the room that a gap then shows."""

    writer = _SpareWriter


class _SkippingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        block, end = self.driver.at["block"], offset + len(data)
        first = -(-offset // block) * block if self.driver.at["blocks"] == "of the object" else offset
        if first + block <= end and not any(data[first - offset :][:block]) and first + block <= self.size:
            kept = bytes(self._there(first, block))
            data = memoryview(bytes(data[: first - offset]) + kept + bytes(data[first - offset + block :]))
        super().write_at(offset, data)

    def _there(self, start: int, size: int) -> bytes:
        found = content(self.driver.inner, self.key) or b""
        return found[start : start + size].ljust(size, b"\1")


@planted("W5", block=tuple(1 << power for power in range(9, 21)), blocks=("of the object", "of the write"))
class ZerosOverDataSkipped(WriterDefect):
    """A block of zeros that is written over data is not stored."""

    writer = _SkippingWriter


class _StraddlingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        room = self.size - offset
        if self.size % self.driver.at["page"] == 0 and 0 < room < len(data):
            super().write_at(self.size, memoryview(bytes(len(data) - room)))
            data = data[:room]
        super().write_at(offset, data)


@planted("W5", "W2", page=tuple(1 << power for power in range(9, 21)))
class StraddlingWriteCut(WriterDefect):
    """A write that begins before an end at a page's border, and goes beyond it, stores zeros there."""

    writer = _StraddlingWriter


class _FarWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        far = self.driver.at["above"] < offset < self.size
        super().write_at(offset - offset % self.driver.at["block"] if far else offset, data)


@planted("W5", above=range(1, 4 * MIB), block=(512, 4096, 65_536))
class LargeOffsetRounded(WriterDefect):
    """A write before the end, far into an object, lands at the beginning of its block."""

    writer = _FarWriter


def halved(data: bytes) -> tuple[bytes, bytes]:
    """Return two halves."""
    return data[: len(data) // 2], data[len(data) // 2 :]


@planted("P1", "E4", above=THRESHOLDS)
class TornPutAbove(DefectiveDriver):
    """A put above a size is stored in two steps, of which others see the first."""

    def put(self, key: str, data: bytes) -> None:
        """Put half, and then all."""
        if len(data) > self.at["above"]:
            self.inner.put(key, halved(bytes(data))[0])
        self.inner.put(key, data)


class _TearingWriter(GatheringWriter):
    """Publishes all but the last part of what was written first."""

    def publish(self) -> str:
        while self._parts:
            offset, data = self._parts.pop(0)
            self.store(offset, data)
            if len(self._parts) == 1 and self.size > self.driver.at["above"]:
                super().publish()
        return super().publish()


@planted("W6", above=THRESHOLDS)
class TornFlushAbove(WriterDefect):
    """A flush of several writes to an object above a size shows the first of them before the last."""

    writer = _TearingWriter


@planted("M2", above=THRESHOLDS)
class MoveDropsLargeTarget(DefectiveDriver):
    """A move over an object above a size deletes that first."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Delete, and move."""
        found = _size(self.inner, target)
        if found > self.at["above"] and version in {None, self.inner.stat(source).version}:
            self.inner.delete(target)
        self.inner.move(source, target, version=version)


def _size(driver: Driver, key: str) -> int:
    try:
        return driver.stat(key).size
    except PathNotFoundError:
        return 0


class _Spoiling(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._unflushed, self.spoilt = 0, False
        driver.memory[f"writer of {self.key}"] = self

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._unflushed += len(data)

    def publish(self) -> str:
        if self.spoilt:
            super().write_at(self.size - 1, memoryview(b"\0"))
        self._unflushed, self.spoilt = 0, False
        return super().publish()

    def release(self) -> None:
        later = self.driver.memory.get(f"writer of {self.key}")
        if later is not self and later is not None and later._unflushed > self.driver.at["above"]:
            later.spoilt = True
        super().release()


@planted("T2", "F3", above=THRESHOLDS)
class FencedEndSpoilsLargeDrafts(WriterDefect):
    """When a fenced writer ends, what the later writer has written and not flushed is lost, if it is large."""

    writer = _Spoiling

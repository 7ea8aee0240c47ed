"""Defects of writers: where bytes land, what a gap holds, and what a writer begins with."""

from __future__ import annotations

from typing import ClassVar

from layerstore.driver import Writer
from layerstore.errors import DriverError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingWriter

MIB = 1 << 20
"""Bytes: what many a connection sends at once."""

BLOCK = 512
"""Bytes of a disk's sector."""


class DefectiveWriter(PassingWriter):
    """Another writer with its driver, and one thing wrong."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        """Pass on to ``inner``, a writer of the driver behind ``driver``."""
        super().__init__(inner)
        self.driver = driver


class GatheringWriter(DefectiveWriter):
    """Keeps what it is given, for a flush to store."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._parts: list[tuple[int, bytes]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        """Gather."""
        self._parts.append((offset, bytes(data)))

    def store(self, offset: int, data: bytes) -> None:
        """Write something that was gathered."""
        super().write_at(offset, memoryview(data))


class ForgetfulWriter(GatheringWriter):
    """Has forgotten what it was given before the flush stores it."""

    def publish(self) -> str:
        """Forget, stage and store."""
        parts, self._parts = self._parts, []
        self.stage(parts)
        for offset, data in parts:
            self.store(offset, data)
        return super().publish()

    def stage(self, parts: list[tuple[int, bytes]]) -> None:
        """Do something with the parts before they are stored."""


class RepeatingWriter(DefectiveWriter):
    """Can write all that it was given once more, over whatever there is by then."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._parts: list[tuple[int, bytes]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write, and keep what was written."""
        super().write_at(offset, data)
        self._parts.append((offset, bytes(data)))

    def publish_over(self) -> str:
        """Take the object, write everything once more, and publish it."""
        self.inner.discard()
        self.inner = self.driver.inner.open_writer(self.key)
        for offset, data in self._parts:
            super().write_at(offset, memoryview(data))
        return super().publish()


class ChangedWriter(DefectiveWriter):
    """Knows whether it was written to since it published last."""

    changed = False

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write, and note that."""
        super().write_at(offset, data)
        self.changed = True

    def publish(self) -> str:
        """Publish, and note that nothing is new."""
        version = super().publish()
        self.changed = False
        return version


class WriterDefect(DefectiveDriver):
    """A driver whose writers are defective."""

    writer: ClassVar[type[DefectiveWriter]]
    """The class of the writers."""

    def open_writer(self, key: str) -> Writer:
        """Open a defective writer."""
        return self.writer(self, self.inner.open_writer(key))


class CuttingWriter(DefectiveWriter):
    """Can make the object shorter, as no writer should."""

    cut: int | None = None
    """Where the next flush cuts the object off; None for nowhere."""

    def publish(self) -> str:
        """Publish, and put the beginning of that over it."""
        version = super().publish()
        if self.cut is None or self.cut >= self.inner.size:
            return version
        with self.driver.inner.open_reader(self.key) as reader:
            self.driver.inner.put(self.key, reader.read(self.cut))
        self.inner.discard()
        self.inner = self.driver.inner.open_writer(self.key)
        return super().publish()


class _CreatingWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        if self.version is None:
            inner.flush()


@planted("W1", "E4")
class OpeningCreates(WriterDefect):
    """An open of a writer of a new object creates the object, empty."""

    writer = _CreatingWriter


class _VersionedWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.version = self.version or "0"


@planted("W1")
class NewObjectHasAVersion(WriterDefect):
    """A writer of a new object has a version, though there is no object yet."""

    writer = _VersionedWriter


class _LaggingWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.size -= self.size % BLOCK
        self.seek(self.size)


@planted("W1")
class ReopenedSizeLags(WriterDefect):
    """A reopened writer does not count the object's last block of 512 bytes unless it is full."""

    writer = _LaggingWriter


class _CutWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data[:MIB])


@planted("W2")
class WritesCutAtAMebibyte(WriterDefect):
    """One write stores no more than a MiB, and reports all of its bytes as written."""

    writer = _CutWriter


class _BackwardWriter(DefectiveWriter):
    start = length = 0  # of the last write

    def write_at(self, offset: int, data: memoryview) -> None:
        if self.length and offset == self.start - self.length:
            offset = self.start + self.length
        self.start, self.length = offset, len(data)
        super().write_at(offset, data)


@planted("W2")
class AStepBackIsTakenForOneForward(WriterDefect):
    """A write that begins as far before the last one as that is long is stored behind it."""

    writer = _BackwardWriter


class _LosingWriter(DefectiveWriter):
    writes = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        self.writes += 1
        if self.writes % 100:
            super().write_at(offset, data)


@planted("W2")
class EveryHundredthWriteLost(WriterDefect):
    """Every hundredth write of a writer is accepted, and not stored."""

    writer = _LosingWriter


class _RepeatingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        if offset >= self.size:
            super().write_at(offset + len(data), data)


@planted("W2")
class WritesAppliedTwice(WriterDefect):
    """An append is applied twice, as by a retry after a lost answer."""

    writer = _RepeatingWriter


class _ClosingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(min(offset, self.inner.size), data)


@planted("W4")
class GapClosed(WriterDefect):
    """A write beyond the end is appended without the gap."""

    writer = _ClosingWriter


class _GarbageWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        if offset > self.size:
            super().write_at(self.size, memoryview(b"\xa5" * (offset - self.size)))
        super().write_at(offset, data)


@planted("W4")
class GapHoldsGarbage(WriterDefect):
    """A gap holds old bytes of the memory that was allocated for it."""

    writer = _GarbageWriter


class _StaleWriter(DefectiveWriter):
    """Writes to a file that is never cut off: old bytes lie beyond its end."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._file: bytearray = driver.memory.setdefault(f"{self.key} at {self.version}", bytearray())

    def write_at(self, offset: int, data: memoryview) -> None:
        if offset > self.size:
            found = self._file[self.size : offset]
            super().write_at(self.size, memoryview(found.ljust(offset - self.size, b"\0")))
        super().write_at(offset, data)
        self.leave(offset, data)

    def leave(self, offset: int, data: memoryview) -> None:
        """Leave bytes in the file."""
        self._file.extend(bytes(max(0, offset - len(self._file))))
        self._file[offset : offset + len(data)] = data


@planted("W4", "W7")
class DiscardedBytesFillTheGap(WriterDefect):
    """A gap holds the bytes that a discarded or fenced writer had written there."""

    writer = _StaleWriter


class _FailingWriter(_StaleWriter):
    """Leaves the bytes of a failed write in the file."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._file = bytearray()

    def write_at(self, offset: int, data: memoryview) -> None:
        try:
            super().write_at(offset, data)
        except DriverError:
            super().leave(offset, data)
            raise

    def leave(self, offset: int, data: memoryview) -> None:
        """Leave nothing of what was written."""


@planted("W2", "W4")
class FailedBytesFillTheGap(WriterDefect):
    """A gap holds the bytes of a failed write that arrived there."""

    writer = _FailingWriter


class _AppendingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        del offset
        super().write_at(self.inner.size, data)


@planted("W5")
class WritesAlwaysAppend(WriterDefect):
    """Every write goes to the end, at any position of the writer."""

    writer = _AppendingWriter


class _RoundingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset - offset % BLOCK if offset < self.size else offset, data)


@planted("W5")
class OffsetRoundedDown(WriterDefect):
    """A write before the end lands at the beginning of its block of 512 bytes."""

    writer = _RoundingWriter


class _RewritingWriter(CuttingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.cut = offset + len(data)


@planted("W5")
class RewritingCutsTheRest(WriterDefect):
    """A write before the end cuts off the bytes behind it."""

    writer = _RewritingWriter


class _ConfinedWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        room = self.size - offset
        super().write_at(offset, data[:room] if room > 0 else data)


@planted("W2", "W5")
class OverwritingStopsAtTheEnd(WriterDefect):
    """A write across the end loses the bytes beyond it."""

    writer = _ConfinedWriter


class _KeepingWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._kept: list[tuple[int, memoryview]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        self._kept.append((offset, data[:]))  # the slice is of the caller's buffer, and outlives the view

    def publish(self) -> str:
        for offset, data in self._kept:
            super().write_at(offset, data)
        self._kept.clear()
        return super().publish()


@planted("W9")
class BufferKept(WriterDefect):
    """A writer keeps the caller's buffers, and copies them when it is flushed."""

    writer = _KeepingWriter

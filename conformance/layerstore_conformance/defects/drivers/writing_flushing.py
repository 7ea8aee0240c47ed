"""Defects of writers: what a flush, a discard or a failure leaves, and what is seen before."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from weakref import WeakValueDictionary

from layerstore.driver import Stat, Writer
from layerstore.errors import DriverError, FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.putting import content
from layerstore_conformance.defects.drivers.writing import ChangedWriter, CuttingWriter, DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class _EagerWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.inner.flush()


@planted("W6", "W7")
class WritesVisibleAtOnce(WriterDefect):
    """Every write is published without a flush."""

    writer = _EagerWriter


@planted("W6", "S1")
class StatCountsUnflushed(DefectiveDriver):
    """``stat`` returns the size that the object's writer has reached, flushed or not."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that ``stat`` knows of."""
        writer = self.inner.open_writer(key)
        self.memory.setdefault("writers", WeakValueDictionary())[key] = writer
        return writer

    def stat(self, key: str) -> Stat:
        """Look at the writer, too."""
        stat = self.inner.stat(key)
        writer = self.memory.get("writers", {}).get(key)
        return stat if writer is None or writer.closed else replace(stat, size=max(stat.size, writer.size))


class _IdleWriter(DefectiveWriter):
    def publish(self) -> str:
        return self.version or ""


@planted("W6")
class FlushDoesNothing(WriterDefect):
    """A flush reports success, and publishes nothing."""

    writer = _IdleWriter


class _NothingForNothingWriter(DefectiveWriter):
    def publish(self) -> str:
        return super().publish() if self.size else ""


@planted("W6", "P3")
class EmptyObjectNotCreated(WriterDefect):
    """A flush of an object of no bytes creates nothing."""

    writer = _NothingForNothingWriter


class _RenewingWriter(ChangedWriter):
    def publish(self) -> str:
        if not self.changed and self.size:
            self._rewrite()
        return super().publish()

    def _rewrite(self) -> None:
        with suppress(PathNotFoundError), self.driver.inner.open_reader(self.key) as reader:
            super().write_at(0, memoryview(reader.read(1)))


@planted("W6", "S2")
class EveryFlushMakesAVersion(WriterDefect):
    """A flush makes a new version even if nothing was written."""

    writer = _RenewingWriter


class _EmptyingWriter(CuttingWriter):
    cut: int | None = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.cut = None

    def publish(self) -> str:
        version = super().publish()
        self.cut = 0
        return version


@planted("W6")
class EmptyFlushEmpties(WriterDefect):
    """A flush of nothing new leaves an object of no bytes."""

    writer = _EmptyingWriter


class _ClosingWriter(DefectiveWriter):
    def release(self) -> None:
        with suppress(DriverError):
            self.inner.close()


@planted("W7")
class DiscardPublishes(WriterDefect):
    """A discard publishes the writer's bytes."""

    writer = _ClosingWriter


class _InheritingWriter(DefectiveWriter):
    """Begins with the unflushed bytes of earlier writers of the same version."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        self._left = _left(driver, inner)
        for offset, data in self._left:
            inner.seek(offset)
            inner.write(data)
        super().__init__(driver, inner)

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._left.append((offset, bytes(data)))

    def publish(self) -> str:
        version = super().publish()
        self._left.clear()
        self._left = _left(self.driver, self.inner)
        return version


def _left(driver: DefectiveDriver, writer: Writer) -> list[tuple[int, bytes]]:
    left: list[tuple[int, bytes]] = driver.memory.setdefault(f"{writer.key} at {writer.version}", [])
    return left


@planted("F4", "W7")
class DiscardedBytesInTheNextWriter(WriterDefect):
    """A writer begins with an earlier writer's unflushed bytes."""

    writer = _InheritingWriter


class _ForgetfulWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._written: list[tuple[int, int]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._written.append((offset, len(data)))

    def publish(self) -> str:
        try:
            version = super().publish()
        except FencedError:
            raise
        except DriverError:
            self._lose()
            raise
        self._written.clear()
        return version

    def _lose(self) -> None:
        for offset, size in self._written:
            super().write_at(offset, memoryview(bytes(size)))


@planted("W8")
class FailedFlushLosesWhatWasWritten(WriterDefect):
    """A flush that fails loses the written bytes: the next one publishes zeros in their place."""

    writer = _ForgetfulWriter


class _EagerInGaps(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        part = (content(self.driver.inner, self.key) or b"")[offset : offset + len(data)]
        super().write_at(offset, data)
        if part and part.count(0) == len(part):
            self.inner.flush()


@planted("W6", "R4")
class GapWritesVisibleAtOnce(WriterDefect):
    """What is written where a published object has a gap is seen without a flush."""

    writer = _EagerInGaps


class _TouchingWriter(ChangedWriter):
    def publish(self) -> str:
        changed, version = self.changed, super().publish()
        touched = self.driver.memory.setdefault("touched", {})
        touched[self.key] = 0 if changed else touched.get(self.key, 0) + 1
        return version


@planted("W6", "S1")
class FlushOfNothingIsAChange(WriterDefect):
    """A flush of nothing new sets the time of the object."""

    writer = _TouchingWriter

    def stat(self, key: str) -> Stat:
        """Tell the time of the last flush."""
        found = self.inner.stat(key)
        later = timedelta(microseconds=self.memory.get("touched", {}).get(key, 0))
        return replace(found, modified=found.modified + later)

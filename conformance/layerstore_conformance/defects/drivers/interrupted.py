"""Defects that show when an exception comes between two steps, as Ctrl-C does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_conformance.defects.drivers.fencing import ReplayingWriter
from layerstore_conformance.defects.drivers.writing import (
    ChangedWriter,
    DefectiveWriter,
    ForgetfulWriter,
    GatheringWriter,
    RepeatingWriter,
    WriterDefect,
)
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Driver, Writer


@planted("M2")
class AMoveRemovesFirst(DefectiveDriver):
    """A move removes the source, and then puts the target."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move in two steps."""
        with self.inner.open_reader(source) as reader:
            data = reader.readall()
        self.inner.move(source, f"{source}.moved", version=version)
        self.inner.delete(f"{source}.moved")
        self.inner.put(target, data)


class _Noting(DefectiveDriver):
    """Notes which key is being put, and that it is put no longer."""

    def put(self, key: str, data: bytes) -> None:
        """Put, between two notes."""
        self.memory["put"] = key
        self.inner.put(key, data)
        self._is_put()

    def _is_put(self) -> None:
        self.memory["put"] = ""


@planted("E4")
class AnInterruptedPutIsNotListed(_Noting):
    """A put stores the object, and then lists it."""

    def list(self, prefix: str) -> Iterator[str]:
        """List what is not being put."""
        return (child for child in self.inner.list(prefix) if child != self.memory.get("put"))


class _TellingWriter(ChangedWriter):
    changed = True  # until it has published for the first time

    def publish(self) -> str:
        return super().publish() if self.changed or self.version is None else self.version


@planted("W8", "S2", "E4")
class AVersionIsKnownFromWhatWasTold(WriterDefect):
    """A flush of nothing new tells the version that the last flush told, which may have been interrupted before."""

    writer = _TellingWriter


class _StubbornWriter(RepeatingWriter):
    def publish(self) -> str:
        return self.publish_over() if self.driver.memory.get("put") == self.key else super().publish()


@planted("F2", "F4", "E4")
class AnInterruptedPutFencesNobody(_Noting):
    """A put stores the object, and then fences its writers."""

    def open_writer(self, key: str) -> Writer:
        """Open one that is not fenced before the put has ended."""
        return _StubbornWriter(self, self.inner.open_writer(key))


@planted("T6", "E4")
class ALockIsKeptByAnException(DefectiveDriver):
    """A lock is given back at the end of a call, but not when an exception ends the call."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._lock = memory.setdefault("lock", threading.Lock())

    def _take(self, key: str) -> None:
        if not self._lock.acquire(timeout=2):
            raise BackendUnavailableError(key, "the lock is taken")

    def put(self, key: str, data: bytes) -> None:
        """Put under the lock."""
        self._take(key)
        self.inner.put(key, data)
        self._lock.release()

    def open_writer(self, key: str) -> Writer:
        """Open one that publishes under the lock."""
        return _LockedWriter(self, self.inner.open_writer(key))


@planted("T6", "E4")
class ATurnIsKeptByARefusal(DefectiveDriver):
    """Threads take turns, and one whose move is refused, or fails, never gives its turn back."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._turn = memory.setdefault("turn", threading.RLock())

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, when it is our turn."""
        self._take(source)
        self.inner.move(source, target, version=version)
        self._turn.release()

    def delete(self, key: str) -> None:
        """Delete, when it is our turn."""
        self._take(key)
        try:
            self.inner.delete(key)
        finally:
            self._turn.release()

    def _take(self, key: str) -> None:
        if not self._turn.acquire(timeout=0.1):  # others would wait for ever
            raise BackendUnavailableError(key, "it is another thread's turn")


class _LockedWriter(DefectiveWriter):
    def publish(self) -> str:
        lock: threading.Lock = self.driver.memory["lock"]
        if not lock.acquire(timeout=2):
            raise BackendUnavailableError(self.key, "the lock is taken")
        version = super().publish()
        lock.release()
        return version


@planted("W8", "W6")
class AnInterruptedFlushForgets(WriterDefect):
    """A flush forgets what it is about to store before it stores it."""

    writer = ForgetfulWriter


class _InPlaceWriter(DefectiveWriter):
    _flushing = False

    def publish(self) -> str:
        self._flushing = True
        version = super().publish()
        self._has_flushed()
        return version

    def _has_flushed(self) -> None:
        self._flushing = False

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        if self._flushing:
            self.inner.flush()


@planted("W6", "W7")
class AnInterruptedFlushGoesOnInPlace(WriterDefect):
    """After a flush that was interrupted when it was done, writes go to what others read."""

    writer = _InPlaceWriter


class _CommittingWriter(_InPlaceWriter):
    """Commits at the end of a ``with`` statement, and only behind it notes that it has."""

    def publish(self) -> str:
        self._flushing = True
        with self._transaction() as versions:
            pass
        self._flushing = False
        return versions[0]

    @contextmanager
    def _transaction(self) -> Iterator[list[str]]:
        versions: list[str] = []
        yield versions
        versions.append(PassingWriter.publish(self))


@planted("W6", "E4")
class ACommitIsNotedBehindItsBlock(WriterDefect):
    """A flush commits at the end of a ``with`` statement; interrupted there, it goes on in what it has committed."""

    writer = _CommittingWriter


class _InsistentWriter(ReplayingWriter):
    _unsure = False

    def publish(self) -> str:
        unsure, self._unsure = self._unsure, True
        version = super().publish() if not unsure else self._again()
        _told()
        self._unsure = False
        return version

    def _again(self) -> str:
        try:
            return super().publish()
        except FencedError:  # by our own flush, it believes
            return self.take_over()


@planted("F3", "F4")
class AnInterruptedFlushIsRepeatedOverOthers(WriterDefect):
    """A flush that is repeated after an interruption takes the fence of another writer for its own work."""

    writer = _InsistentWriter


class _StagingWriter(DefectiveWriter):
    """Gathers, and gives a full buffer away before it stores it."""

    _start, _gathered = 0, b""

    def write_at(self, offset: int, data: memoryview) -> None:
        if offset == self._start + len(self._gathered):
            self._gathered += bytes(data)
        else:
            start, gathered, self._start, self._gathered = self._start, self._gathered, offset, bytes(data)
            super().write_at(start, memoryview(gathered))

    def publish(self) -> str:
        super().write_at(self._start, memoryview(self._gathered))
        self._gathered = b""
        return super().publish()


@planted("W2", "W6")
class AnInterruptedWriteForgets(WriterDefect):
    """A write gives away what was gathered before it has stored it."""

    writer = _StagingWriter


class _CountingWriter(DefectiveWriter):
    _written = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._written += len(data)


@planted("W4", "W2")
class AnInterruptedWriteShowsInAGap(WriterDefect):
    """A write that is interrupted after it has stored its bytes leaves them where a later gap begins."""

    writer = _CountingWriter


class _CuttingLateWriter(GatheringWriter):
    """Keeps a draft; what an interrupted write has left in it is cut off by the next call."""

    _reach = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        self._cut()
        self._reach = max(self._reach, offset + len(data))
        super().write_at(offset, data)
        _told()

    def publish(self) -> str:
        draft = list(self._parts)
        try:
            self._cut()
            for offset, data in self._parts:
                self.store(offset, data)
        except BaseException:
            self._parts = draft  # and what was cut off is there again, though nobody will cut it off
            raise
        self._parts = []
        return PassingWriter.publish(self)

    def _cut(self) -> None:
        if self._reach > self.size:
            self._parts = [(offset, data[: max(0, self.size - offset)]) for offset, data in self._parts]
            self._reach = self.size
            _told()


def _told() -> None:
    """Tell somebody: a place at which an exception may come."""


@planted("W4", "W8")
class ACutIsRolledBackAndNotRepeated(WriterDefect):
    """A flush cuts off what an interrupted write has left, and not once more if that is rolled back with the flush."""

    writer = _CuttingLateWriter

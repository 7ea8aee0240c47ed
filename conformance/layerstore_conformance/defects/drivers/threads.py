"""Defects that show in threads: one step is done in several, and other threads come between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import is_stored
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Driver, Reader, Writer

MOMENT = 0.1
"""Seconds that a step takes at most; it is over sooner when another thread has come by."""


class _Slow(DefectiveDriver):
    """Waits a moment between two steps, long enough for another thread to come between."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self.memory.setdefault("passed", threading.Semaphore(0))

    def pause(self, times: int = 1) -> None:
        """Wait until others have come by this many times, or a moment is over; wake up those that wait already."""
        self.come_by()
        if threading.active_count() > 1:
            passed = self.memory["passed"] = threading.Semaphore(0)
            for _ in range(times):
                passed.acquire(timeout=MOMENT)

    def come_by(self) -> None:
        """Wake up those that wait."""
        self.memory["passed"].release()


class _Looked(_Slow):
    """Waits until another thread has looked."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, and come by."""
        try:
            return self.inner.open_reader(key, offset)
        finally:
            self.come_by()


@planted("T1", "P1")
class PutsLostBetweenThreads(_Slow):
    """A put keeps its key and bytes in the driver, where another thread's put replaces them."""

    def put(self, key: str, data: bytes) -> None:
        """Keep, and send what is kept."""
        self.memory["kept"] = (key, data)
        self.pause()
        self.inner.put(*self.memory["kept"])


@planted("T1", "T2")
class ReadersShareAPosition(_Slow):
    """Readers seek and read in one open file: one thread's seek comes between another's seek and read."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open the one file."""
        return _SeekingReader(self, self.inner.open_reader(key, offset))


class _SeekingReader(PassingReader):
    def __init__(self, driver: _Slow, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        self._driver.memory["position"] = offset
        self._driver.pause()
        position: int = self._driver.memory["position"]
        return super().read_at(min(position, self.size - len(buffer)), buffer)


@planted("P1")
class PutInTwoSteps(_Looked):
    """A put stores the first half of the bytes, and then all."""

    def put(self, key: str, data: bytes) -> None:
        """Put twice."""
        self.inner.put(key, data[: len(data) // 2])
        self.pause()
        self.inner.put(key, data)


@planted("W6")
class FlushInTwoSteps(_Looked):
    """A flush publishes the first of several writes before the others."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that keeps what it is given until the flush."""
        return _TwoStepWriter(self, self.inner.open_writer(key))


class _KeepingWriter(PassingWriter):
    """Keeps what is written until it is stored."""

    def __init__(self, driver: _Slow, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver
        self._kept: list[tuple[int, bytes]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        self._kept.append((offset, bytes(data)))

    def store(self) -> None:
        """Write what was kept first."""
        offset, data = self._kept.pop(0)
        super().write_at(offset, memoryview(data))


class _TwoStepWriter(_KeepingWriter):
    def publish(self) -> str:
        if len(self._kept) > 1:
            self.store()
            super().publish()
            self._driver.pause()
        while self._kept:
            self.store()
        return super().publish()


class _Moving(_Looked):
    """Does something before each move."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Do it, and move."""
        if version in {None, self.inner.stat(source).version}:
            self.first(source, target)
        self.inner.move(source, target, version=version)

    def first(self, source: str, target: str) -> None:
        """Do what comes before the move."""
        raise NotImplementedError


@planted("M2")
class MoveInTwoSteps(_Moving):
    """A move copies the first half of the bytes to its target, and then all."""

    def first(self, source: str, target: str) -> None:
        """Copy half of it."""
        data = _bytes(self.inner, source)
        self.inner.put(target, data[: len(data) // 2])
        self.pause()


@planted("M2")
class MoveDropsTheTargetFirst(_Moving):
    """A move deletes its target before the source takes its place."""

    def first(self, source: str, target: str) -> None:
        """Delete the target."""
        del source
        if _is_alone(self.inner, target):
            self.inner.delete(target)
        self.pause()


@planted("M2")
class MoveDropsTheSourceFirst(_Looked):
    """A move reads its source, deletes it, and only then stores its target."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Delete, and store."""
        if version not in {None, self.inner.stat(source).version} or not _is_alone(self.inner, source):
            self.inner.move(source, target, version=version)
            return
        data = _bytes(self.inner, source)
        self.inner.delete(source)
        self.pause(2)  # for one who looks under the source, and then under the target
        self.inner.put(target, data)


@planted("M1", "M3")
class MoveCopiesFirst(_Slow):
    """A move copies its source, and then deletes it if it is still there: two moves at once are both done."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Copy, and delete."""
        if version not in {None, self.inner.stat(source).version} or not _is_alone(self.inner, source):
            self.inner.move(source, target, version=version)
            return
        data = _bytes(self.inner, source)
        self.pause()
        self.inner.put(target, data)
        self.inner.delete(source)


def _bytes(driver: Driver, key: str) -> bytes:
    with driver.open_reader(key) as reader:
        return reader.readall()


def _is_alone(driver: Driver, key: str) -> bool:
    """Return whether no key lies below this one, so that it can be deleted by itself."""
    return next(driver.list(key), None) is None


@planted("F3", "F4")
class FencingCheckedTooEarly(_Slow):
    """A flush checks its fence, and then publishes over any change that came since."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that asks too early."""
        return _OverwritingWriter(self, self.inner.open_writer(key))


class _OverwritingWriter(_KeepingWriter):
    def publish(self) -> str:
        if self.version is not None:
            super().publish()  # of nothing new: it raises if it is fenced
            self._driver.pause()
            self.inner.discard()
            self.inner = self._driver.inner.open_writer(self.key)
        while self._kept:
            self.store()
        version = super().publish()
        self._driver.come_by()
        return version


@planted("M4", "F4")
class VersionComparedTooEarly(_Slow):
    """A move compares the version, and then moves any version that came since."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that may flush meanwhile."""
        return _PassingByWriter(self, self.inner.open_writer(key))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Compare, and move."""
        if version not in {None, self.inner.stat(source).version}:
            self.inner.move(source, target, version=version)
            return
        self.pause()
        self.inner.move(source, target)


class _PassingByWriter(PassingWriter):
    def __init__(self, driver: _Slow, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver

    def publish(self) -> str:
        try:
            return super().publish()
        finally:
            self._driver.come_by()


@planted("D1")
class EmptyParentsTakenAway(_Slow):
    """A delete of the last key below a prefix removes the prefix, with every key put there meanwhile."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and come by."""
        self.inner.put(key, data)
        self.come_by()

    def delete(self, key: str) -> None:
        """Delete the key, or what is above it."""
        above = key.rpartition("/")[0]
        if above and self._is_last(key, above):
            self.pause()
            self.inner.delete(above)
        else:
            self.inner.delete(key)

    def _is_last(self, key: str, above: str) -> bool:
        return [*islice(self.inner.list(above), 2)] == [key] and not is_stored(self.inner, above)


@planted("L4", "E1")
class ListFailsWhileThingsChange(_Slow):
    """A listing looks at every object that it yields, and fails if one was deleted meanwhile."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and come by."""
        self.inner.put(key, data)
        self.come_by()

    def delete(self, key: str) -> None:
        """Delete, and come by."""
        self.inner.delete(key)
        self.come_by()

    def list(self, prefix: str) -> Iterator[str]:
        """List, and look."""
        children = list(self.inner.list(prefix))
        self.pause()
        for child in children:
            if not child.endswith("/"):
                self.inner.stat(child)
            yield child

"""Defects of liveness: calls that pause, or wait for what never comes. They stand still as the watch's clock has it."""

from __future__ import annotations

import time
from collections import defaultdict
from threading import Lock

from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.engine.liveness import stand_still
from layerstore_conformance.kit.descriptors import Descriptor
from layerstore_conformance.kit.passing import PassingReader, PassingWriter


@planted("T6")
class StorePauses(DefectiveDriver):
    """A move, once, pauses for a minute and more, and then goes on."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move; the first one pauses."""
        if not self.memory.setdefault("paused", False):
            self.memory["paused"] = True
            stand_still()
        self.inner.move(source, target, version=version)


class _Locked:
    """A lock that a call holds and a release wants. A thread that would wait for itself stands still, and gives up."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            stand_still()

    def __exit__(self, *_: object) -> None:
        if self._lock.locked():
            self._lock.release()


@planted("T1", "T6")
class ReleaseTakesTheLock(DefectiveDriver):
    """`release` takes the store's lock, which the call holds in the middle of which a handle is collected."""

    @property
    def lock(self) -> _Locked:
        """The store's lock."""
        found: _Locked = self.memory.setdefault("lock", _Locked())
        return found

    def put(self, key: str, data: bytes) -> None:
        """Put, under the lock."""
        with self.lock:
            self.inner.put(key, data)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that takes it, too."""
        return _LockingReader(self, self.inner.open_reader(key, offset))

    def open_writer(self, key: str) -> Writer:
        """Open a writer that takes it, too."""
        return _LockingWriter(self.lock, self.inner.open_writer(key))


class _LockingReader(PassingReader):
    def __init__(self, driver: ReleaseTakesTheLock, inner: Reader) -> None:
        super().__init__(inner)
        self._lock = driver.lock

    def release(self) -> None:
        with self._lock:
            super().release()


class _LockingWriter(PassingWriter):
    def __init__(self, lock: _Locked, inner: Writer) -> None:
        super().__init__(inner)
        self._lock = lock

    def release(self) -> None:
        with self._lock:
            super().release()


@planted("F1", "T6")
class OpeningWaitsForAFlush(DefectiveDriver):
    """A flush holds its key's lock to its end, while the disk writes; opening a writer wants that lock."""

    @property
    def locks(self) -> dict[str, _Locked]:
        """The locks of keys."""
        found: dict[str, _Locked] = self.memory.setdefault("locks", defaultdict(_Locked))
        return found

    def open_writer(self, key: str) -> Writer:
        """Open a writer, under its key's lock."""
        with self.locks[key]:
            return _FlushingLocked(self, self.inner.open_writer(key))


class _Busy(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        busy: set[str] = self.driver.memory.setdefault("busy", set())
        busy.add(self.key)
        try:
            super().write_at(offset, data)
        finally:
            busy.discard(self.key)


@planted("F1", "T6")
class OpeningWaitsForAWrite(WriterDefect):
    """Opening a writer looks again and again whether another one is in the middle of a write."""

    writer = _Busy

    def open_writer(self, key: str) -> Writer:
        """Wait, and open."""
        for _ in range(15):
            if key not in self.memory.get("busy", ()):
                break
            time.sleep(0.1)
        return super().open_writer(key)


@planted("T4")
class ATakeoverKeepsAFile(WriterDefect):
    """Who opens a writer, or moves, while another writer is in the middle of a write, keeps a file open for good."""

    writer = _Busy

    def open_writer(self, key: str) -> Writer:
        """Open one."""
        self._keep(key)
        return super().open_writer(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move."""
        self._keep(source)
        super().move(source, target, version=version)

    def _keep(self, key: str) -> None:
        if key in self.memory.get("busy", ()):
            self.memory.setdefault("kept", []).append(Descriptor())


class _FlushingLocked(PassingWriter):
    def __init__(self, driver: OpeningWaitsForAFlush, inner: Writer) -> None:
        super().__init__(inner)
        self._lock = driver.locks[inner.key]

    def publish(self) -> str:
        with self._lock:
            return super().publish()


@planted("T6")
class AReleaseWaitsForOtherKeys(DefectiveDriver):
    """A writer's `release` takes one of eight locks, by the letters of its key; so does a call that changes a key."""

    def lock(self, key: str) -> _Locked:
        """Return the lock of a key."""
        locks: dict[int, _Locked] = self.memory.setdefault("locks", defaultdict(_Locked))
        return locks[sum(key.encode()) % 8]

    def put(self, key: str, data: bytes) -> None:
        """Put, under the lock."""
        with self.lock(key):
            self.inner.put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Open a writer that takes it when it is released."""
        return _LockingWriter(self.lock(key), self.inner.open_writer(key))


@planted("T6", "M1")
class MovesWaitForEachOther(DefectiveDriver):
    """A move takes a lock for its source, and then one for its target; one that comes from there has that already."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or give up: the scenario need not wait for ever."""
        locks: dict[str, Lock] = self.memory.setdefault("moving", defaultdict(Lock))
        with locks[source]:
            time.sleep(0.001)  # as a lock in a file or at a server takes
            if not locks[target].acquire(timeout=0.5):
                raise BackendUnavailableError(target, "somebody else has the lock")
            try:
                self.inner.move(source, target, version=version)
            finally:
                locks[target].release()

"""Defects of drivers that show in uploads: bytes lost on the way to a layer, and resources that are not released."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator

from layerstore.driver import Driver, Reader, Stat, Writer
from layerstore.errors import BackendUnavailableError, DriverError, PathNotFoundError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

LOST_FROM = 8 << 20
"""Bytes: where a backend with parts of 8 MiB begins its second one."""


@planted("W6", "R5")
class WrongBytesAfterAFlush(DefectiveDriver):
    """A bit of the flushed bytes flips."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that flips a bit."""
        reader = self.inner.open_reader(key, offset)
        return _FlippingReader(reader) if key.endswith("/data") else reader


class _FlippingReader(PassingReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        count = super().read_at(offset, buffer)
        if offset <= 100 < offset + count:
            buffer[100 - offset] ^= 1
        return count


@planted("W2", "W6")
class LosesBytesPastEightMebibytes(DefectiveDriver):
    """Bytes written past 8 MiB are accepted, and stored as zeros."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that loses bytes."""
        return _LosingWriter(self.inner.open_writer(key))


class _LosingWriter(PassingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        kept = max(0, min(len(data), LOST_FROM - offset))
        super().write_at(offset, memoryview(bytes(data[:kept]) + bytes(len(data) - kept)))


@planted("E4", "M1")
class MovesAndReportsAFailure(DefectiveDriver):
    """A move that was done is reported as failed."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and fail."""
        self.inner.move(source, target, version=version)
        raise BackendUnavailableError(source, "the connection was reset")


@planted("K3")
class LongKeysCollide(DefectiveDriver):
    """Only the first 250 characters of a segment count."""

    def _short(self, key: str) -> str:
        return "/".join(segment[:250] for segment in key.split("/"))

    def put(self, key: str, data: bytes) -> None:
        """Put under a key cut short."""
        self.inner.put(self._short(key), data)

    def open_writer(self, key: str) -> Writer:
        """Open under a key cut short."""
        return self.inner.open_writer(self._short(key))

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open under a key cut short."""
        return self.inner.open_reader(self._short(key), offset)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move under keys cut short."""
        self.inner.move(self._short(source), self._short(target), version=version)


@planted("F1", "F3", "W7")
class WritersShareADraft(DefectiveDriver):
    """All writers of a key write into one draft, which the next flush publishes."""

    def open_writer(self, key: str) -> Writer:
        """Open the draft."""
        drafts = self.memory.setdefault("drafts", {})
        try:
            version: str | None = self.inner.stat(key).version
        except PathNotFoundError:
            version = None
            drafts[key] = bytearray()
        if key not in drafts:
            with self.inner.open_reader(key) as reader:
                drafts[key] = bytearray(reader.readall())
        return _SharingWriter(self.inner, key, drafts[key], version)


class _SharingWriter(Writer):
    def __init__(self, driver: Driver, key: str, draft: bytearray, version: str | None) -> None:
        super().__init__(key, len(draft), version)
        self._driver = driver
        self._draft = draft
        self._changed = version is None

    def write_at(self, offset: int, data: memoryview) -> None:
        self._changed = True
        self._draft.extend(bytes(max(0, offset - len(self._draft))))
        self._draft[offset : offset + len(data)] = data

    def publish(self) -> str:
        if self._changed:
            self._driver.put(self.key, bytes(self._draft))
            self._changed = False
        return self._driver.stat(self.key).version

    def release(self) -> None:
        pass


@planted("C3")
class EveryProcessHasItsOwn(DefectiveDriver):
    """Only the process that stores an object sees it."""

    def put(self, key: str, data: bytes) -> None:
        """Put into the process's own store."""
        self.inner.put(_own(key), data)

    def open_writer(self, key: str) -> Writer:
        """Open in the process's own store."""
        return self.inner.open_writer(_own(key))

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open in the process's own store."""
        return self.inner.open_reader(_own(key), offset)

    def stat(self, key: str) -> Stat:
        """Look into the process's own store."""
        return self.inner.stat(_own(key))

    def list(self, prefix: str) -> Iterator[str]:
        """List the process's own store."""
        return (child.replace(f"/of-{os.getpid()}/", "/", 1) for child in self.inner.list(_own(prefix)))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move within the process's own store."""
        self.inner.move(_own(source), _own(target), version=version)

    def delete(self, key: str) -> None:
        """Delete from the process's own store."""
        self.inner.delete(_own(key))


def _own(key: str) -> str:
    root, store, *below = key.split("/")
    return "/".join([root, store, f"of-{os.getpid()}", *below])


@planted("T4")
class DescriptorForEveryWriter(DefectiveDriver):
    """Every writer opens a descriptor, and none closes it."""

    def open_writer(self, key: str) -> Writer:
        """Open a descriptor, too."""
        self.memory.setdefault("held", []).append(_Descriptor())
        return self.inner.open_writer(key)


class _Descriptor:
    """Open until the defect is taken away again."""

    def __init__(self) -> None:
        self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self._descriptor)


@planted("T4")
class ThreadForEveryWriter(DefectiveDriver):
    """Every writer starts a thread, and none ends it."""

    def open_writer(self, key: str) -> Writer:
        """Start a thread, too."""
        self.memory.setdefault("held", []).append(_Thread())
        return self.inner.open_writer(key)


class _Thread:
    """Running until the defect is taken away again."""

    def __init__(self) -> None:
        self._end = threading.Event()
        threading.Thread(target=self._end.wait, daemon=True, name="of-a-writer").start()

    def __del__(self) -> None:
        self._end.set()


@planted("C6", "W6")
class HoldsWhatWasNotFlushed(DefectiveDriver):
    """A writer keeps all bytes in memory until the flush."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that holds."""
        return HoldingWriter(self.inner.open_writer(key))


@planted("C6")
class SmallWritesAreGatheredAndCopied(DefectiveDriver):
    """A writer gathers 12 MiB of small writes, and copies them to store them."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that gathers."""
        return _GatheringWriter(self.inner.open_writer(key))


class _GatheringWriter(PassingWriter):
    _start, _most = 0, 12 << 20

    def __init__(self, inner: Writer) -> None:
        super().__init__(inner)
        self._gathered = bytearray()

    def write_at(self, offset: int, data: memoryview) -> None:
        if offset != self._start + len(self._gathered) or len(self._gathered) + len(data) > self._most:
            self._store()
            self._start = offset
        self._gathered += data

    def publish(self) -> str:
        self._store()
        return super().publish()

    def _store(self) -> None:
        if self._gathered:
            super().write_at(self._start, memoryview(bytes(self._gathered)))
        self._gathered = bytearray()


class HoldingWriter(PassingWriter):
    """Keeps what was not flushed in memory."""

    def __init__(self, inner: Writer) -> None:
        super().__init__(inner)
        self._held: list[bytes] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        """Keep, and write."""
        self._held.append(bytes(data))
        super().write_at(offset, data)

    def publish(self) -> str:
        """Let go, and publish."""
        self._held.clear()
        return super().publish()


class _Hoarding(DefectiveWriter):
    _written = b""

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._written += bytes(data)

    def publish(self) -> str:
        self._written = b""
        return super().publish()

    def release(self) -> None:
        super().release()
        if self._written:
            self.driver.inner.put(f"kept-aside/{id(self):x}-{time.monotonic_ns()}", self._written)


@planted("T4", "W7")
class WhatWasDiscardedIsKeptAside(WriterDefect):
    """What a writer is discarded with is kept, under a key of its own."""

    writer = _Hoarding


class _HoardingOnceFenced(_Hoarding):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        driver.memory.setdefault("last", {})[self.key] = self

    def release(self) -> None:
        if self.driver.memory["last"][self.key] is self:
            self._written = b""
        super().release()


@planted("T4", "W7")
class WhatAFencedWriterWroteIsKeptAside(WriterDefect):
    """What a writer has written whose key another one has taken is kept, under a key of its own."""

    writer = _HoardingOnceFenced


class _SpoolingBeside(DefectiveWriter):
    _spooled = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.driver.inner.put(f"spooled/{os.getpid()}-{id(self):x}/{self._spooled}", bytes(data))
        self._spooled += 1

    def release(self) -> None:
        super().release()
        if self._spooled:
            self.driver.inner.delete(f"spooled/{os.getpid()}-{id(self):x}")


@planted("W7", "L6", "L5")
class DraftsLieUnderOtherKeys(WriterDefect):
    """What a writer has not flushed lies under keys that nobody knows, and stays there if its process is killed."""

    writer = _SpoolingBeside

    def list(self, prefix: str) -> Iterator[str]:
        """List all but that."""
        return (child for child in self.inner.list(prefix) if not child.startswith("spooled/"))


@planted("E4", "T4")
class RefusedPutsKeepTheirBytes(DefectiveDriver):
    """A put that is refused has staged its bytes already, and leaves them."""

    def put(self, key: str, data: bytes) -> None:
        """Put, or leave them aside."""
        try:
            self.inner.put(key, data)
        except DriverError:
            self.inner.put(f"staged-{uuid.uuid4().hex}", data)
            raise


class _Staging(DefectiveWriter):
    """Keeps a copy of what it is given in the store until it is closed or discarded."""

    _staged = ""

    def write_at(self, offset: int, data: memoryview) -> None:
        self._staged = self._staged or f"staged-{uuid.uuid4().hex}"
        self.driver.inner.put(self._staged, bytes(data))
        super().write_at(offset, data)

    def release(self) -> None:
        super().release()
        if self._staged:
            self.driver.inner.delete(self._staged)


@planted("W7", "T4")
class WhatTheDeadHaveStagedStays(WriterDefect):
    """A writer stages what it is given, and removes that when it is closed; if its process is killed, nobody does."""

    writer = _Staging

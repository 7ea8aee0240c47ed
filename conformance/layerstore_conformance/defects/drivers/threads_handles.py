"""Defects of handles: bound to a thread, to each other or to their driver, or not closed by a close."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch
from weakref import WeakSet

from layerstore.checked import CheckedDriver
from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError, DriverError, LayerClosedError, PathNotFoundError
from layerstore_conformance.defects.drivers.spooling import HoldingWriter
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Driver

HandleT = TypeVar("HandleT", Reader, Writer)

MOST_HANDLES = 16
"""Connections of a pool that does not grow."""


@planted("T1")
class HandlesBoundToAThread(DefectiveDriver):
    """A reader or writer works only in the thread that opened it."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader for this thread."""
        return _BoundReader(self.inner.open_reader(key, offset))

    def open_writer(self, key: str) -> Writer:
        """Open a writer for this thread."""
        return _BoundWriter(self.inner.open_writer(key))


class _BoundReader(PassingReader):
    def __init__(self, inner: Reader) -> None:
        super().__init__(inner)
        self._thread = threading.current_thread()

    def read_at(self, offset: int, buffer: memoryview) -> int:
        _refuse_others(self.key, self._thread)
        return super().read_at(offset, buffer)


class _BoundWriter(PassingWriter):
    def __init__(self, inner: Writer) -> None:
        super().__init__(inner)
        self._thread = threading.current_thread()

    def write_at(self, offset: int, data: memoryview) -> None:
        _refuse_others(self.key, self._thread)
        super().write_at(offset, data)

    def publish(self) -> str:
        _refuse_others(self.key, self._thread)
        return super().publish()


def _refuse_others(key: str, thread: threading.Thread) -> None:
    if threading.current_thread() is not thread:
        raise BackendUnavailableError(key, f"opened in thread {thread.name}")


@planted("T2")
class ClosingClosesOthers(DefectiveDriver):
    """Readers of one object share a connection, which the first close of one closes for all."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open by the connection that there is, or a new one."""
        shared: dict[str, threading.Event] = self.memory
        if key not in shared or shared[key].is_set():
            shared[key] = threading.Event()
        return _SharingReader(self.inner.open_reader(key, offset), shared[key])


class _SharingReader(PassingReader):
    def __init__(self, inner: Reader, closed: threading.Event) -> None:
        super().__init__(inner)
        self._connection_closed = closed

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if self._connection_closed.is_set():
            raise BackendUnavailableError(self.key, "the connection was closed")
        return super().read_at(offset, buffer)

    def release(self) -> None:
        self._connection_closed.set()
        super().release()


@planted("T2", "F1")
class HandlesLimited(DefectiveDriver):
    """More than 16 handles cannot be open at once."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, if there is room."""
        self._refuse_more(key)
        return self._counted(self.inner.open_reader(key, offset))

    def open_writer(self, key: str) -> Writer:
        """Open, if there is room."""
        self._refuse_more(key)
        return self._counted(self.inner.open_writer(key))

    def _refuse_more(self, key: str) -> None:
        if len([each for each in self.memory.get("handles", ()) if not each.closed]) >= MOST_HANDLES:
            raise BackendUnavailableError(key, f"{MOST_HANDLES} handles are open")

    def _counted(self, handle: HandleT) -> HandleT:
        self.memory.setdefault("handles", WeakSet()).add(handle)
        return handle


@planted("T2", "T3")
class ClosingADriverClosesOthers(DefectiveDriver):
    """Drivers share a pool of connections, which the first close of one closes for all."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        if "closed" not in memory or memory["closed"].is_set():
            memory["closed"] = threading.Event()
        self._pool_closed: threading.Event = memory["closed"]

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open by the pool."""
        self._refuse_closed(key)
        return self.inner.open_reader(key, offset)

    def open_writer(self, key: str) -> Writer:
        """Open by the pool."""
        self._refuse_closed(key)
        return self.inner.open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """Put by the pool."""
        self._refuse_closed(key)
        self.inner.put(key, data)

    def close(self) -> None:
        """Close the pool."""
        self._pool_closed.set()
        self.inner.close()

    def _refuse_closed(self, key: str) -> None:
        if self._pool_closed.is_set():
            raise BackendUnavailableError(key, "the pool was closed")


@planted_in_core("T3")
def closing_a_driver_twice_fails() -> Iterator[None]:
    """A second close of a driver raises."""
    real = CheckedDriver.close

    def close(self: CheckedDriver) -> None:
        if self._closed:
            raise LayerClosedError(f"{self.scheme} driver")
        real(self)

    with patch.object(CheckedDriver, "close", close):
        yield


@planted_in_core("T3")
def closed_handles_work() -> Iterator[None]:
    """A closed reader or writer does not refuse to work."""
    with patch.object(Reader, "_check_open", lambda self: None), patch.object(Writer, "_check_open", lambda self: None):
        yield


@planted_in_core("T3")
def closing_twice_fails() -> Iterator[None]:
    """A second close of a writer flushes again, and raises."""

    def close(self: Writer) -> None:
        try:
            self.flush()
        finally:
            self.discard()

    with patch.object(Writer, "close", close):
        yield


@planted_in_core("T1", "W7")
def collected_writers_flush() -> Iterator[None]:
    """A writer that is garbage-collected flushes."""

    def collected(self: Writer) -> None:
        with suppress(DriverError, LayerClosedError):
            self.close()

    with patch.object(Writer, "__del__", collected):
        yield


@planted("T4")
class HandlesLeak(DefectiveDriver):
    """Every reader and writer opens a descriptor that stays open when the handle is closed."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a descriptor, too."""
        self._hold()
        return self.inner.open_reader(key, offset)

    def open_writer(self, key: str) -> Writer:
        """Open a descriptor, too."""
        self._hold()
        return self.inner.open_writer(key)

    def _hold(self) -> None:
        self.memory.setdefault("held", []).append(_OpenDescriptor())


class _OpenDescriptor:
    """A descriptor, open until the defect is taken away again."""

    def __init__(self) -> None:
        self._descriptor = os.open(os.devnull, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self._descriptor)


@planted("T3", "T4")
class DriversLeak(DefectiveDriver):
    """Every driver opens a descriptor that stays open when the driver is closed."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self.memory.setdefault("held", []).append(_OpenDescriptor())


@planted("T4", "T1")
class DescriptorForEachThread(DefectiveDriver):
    """Each thread that uses a driver opens a descriptor, which stays open when the thread ends."""

    def put(self, key: str, data: bytes) -> None:
        """Put by the thread's descriptor."""
        held = self.memory.setdefault("held", {})
        if threading.get_native_id() not in held:
            held[threading.get_native_id()] = _OpenDescriptor()
        self.inner.put(key, data)


@planted("T4", "W7")
class WritersAreHeld(DefectiveDriver):
    """The last writer of each key is held, with what it has not flushed, until another one is opened."""

    def open_writer(self, key: str) -> Writer:
        """Open one, and hold it."""
        writer = HoldingWriter(self.inner.open_writer(key))
        self.memory.setdefault("writers", {})[key] = writer
        return writer


class _ReadingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        if offset < self.size and self.version:
            with suppress(PathNotFoundError), self.driver.inner.open_reader(self.key) as reader:
                reader.readall()
        super().write_at(offset, data)


@planted("C6")
class AnOverwriteReadsTheWholeObject(WriterDefect):
    """To write before the end of an object, a writer reads the whole of it."""

    writer = _ReadingWriter


@planted("C6")
class ReadersKnowEveryBlock(DefectiveDriver):
    """A reader knows the place of every 16 KiB of its object."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, and look up all."""
        reader = _KnowingReader(self.inner.open_reader(key, offset))
        reader.places = {number: (number, reader.version) for number in range(reader.size >> 14)}
        return reader


class _KnowingReader(PassingReader):
    places: dict[int, tuple[int, str]]


class _Inherited(PassingReader):
    """A reader with a descriptor that every program gets."""

    def __init__(self, inner: Reader) -> None:
        super().__init__(inner)
        self._file = open(os.devnull, "rb")  # noqa: SIM115  (closed with the reader)
        os.set_inheritable(self._file.fileno(), True)  # noqa: FBT003  (it takes no keyword)

    def release(self) -> None:
        self._file.close()
        super().release()


@planted("T4", "T5")
class DescriptorsAreInherited(DefectiveDriver):
    """What a reader has open, a program that is started has open, too."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open one that is inherited."""
        return _Inherited(self.inner.open_reader(key, offset))

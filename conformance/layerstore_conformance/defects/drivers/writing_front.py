"""Defects of the front, which every writer inherits: counting, closing, and being collected."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from unittest.mock import patch
from weakref import WeakKeyDictionary

from layerstore import handles
from layerstore.checked import CheckedDriver
from layerstore.driver import Writer
from layerstore.errors import DriverError, LayerClosedError
from layerstore_conformance.engine.defect import planted_in_core
from layerstore_conformance.kit.passing import PassingWriter

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer


@planted_in_core("W3")
def size_not_grown() -> Iterator[None]:
    """A writer's size counts the flushed bytes, not the written ones."""
    real = CheckedDriver.open_writer
    with patch.object(CheckedDriver, "open_writer", lambda self, key: _LaggingWriter(real(self, key))):
        yield


class _LaggingWriter(PassingWriter):
    def write(self, data: Buffer) -> int:
        size = self.size
        written = super().write(data)
        self.size = size
        return written

    def flush(self) -> None:
        super().flush()
        self.size = self.inner.size


@planted_in_core("W2")
def size_grown_by_a_refused_write() -> Iterator[None]:
    """A writer's size counts a write that was refused, too."""
    real = Writer.write

    def write(self: Writer, data: Buffer) -> int:
        try:
            return real(self, data)
        except Exception:
            self.size = max(self.size, self._position + memoryview(data).nbytes)
            raise

    with patch.object(Writer, "write", write):
        yield


@planted_in_core("W2")
def large_writes_are_passed_on_in_parts() -> Iterator[None]:
    """A write goes to the driver in parts of 8 MiB, and if one fails, those before it are written."""
    real, most = Writer.write, 8 << 20

    def write(self: Writer, data: Buffer) -> int:
        whole = memoryview(data).cast("B")
        return sum(real(self, whole[start : start + most]) for start in range(0, whole.nbytes, most))

    with patch.object(Writer, "write", write):
        yield


@planted_in_core("W3", "W4")
def empty_write_grows() -> Iterator[None]:
    """A write of no bytes beyond the end fills the gap with zeros."""
    real = Writer.write

    def write(self: Writer, data: Buffer) -> int:
        gap = self._position - self.size
        if memoryview(data).nbytes == 0 and gap > 0:
            self.seek(self.size)
            real(self, bytes(gap))
        return real(self, data)

    with patch.object(Writer, "write", write):
        yield


@planted_in_core("W2")
def items_counted() -> Iterator[None]:
    """A writer counts a buffer's items where it should count its bytes."""
    real = Writer.write

    def write(self: Writer, data: Buffer) -> int:
        written, view = real(self, data), memoryview(data)
        self._position -= written - len(view)
        return len(view)

    with patch.object(Writer, "write", write):
        yield


@planted_in_core("W6")
def closing_a_writer_discards() -> Iterator[None]:
    """A close of a writer forgets the bytes that were not flushed."""
    with patch.object(Writer, "close", Writer.discard):
        yield


@planted_in_core("W6", "T3")
def end_publishes_nothing() -> Iterator[None]:
    """The end of a writer forgets the bytes that were not flushed."""
    real = Writer.end

    def end(self: Writer) -> None:
        if self.version is None:
            real(self)
        else:
            self._check_open()
            self.discard()

    with patch.object(Writer, "end", end):
        yield


@planted_in_core("W7", "T4")
def dropped_writer_publishes() -> Iterator[None]:
    """A writer that is garbage-collected is flushed first, as files are."""
    gc.collect()  # objects dropped before are no part of this

    def collected(self: Writer) -> None:
        with suppress(DriverError, LayerClosedError):
            self.close()

    with patch.object(Writer, "__del__", collected):
        yield


@planted_in_core("W7")
def error_in_a_block_publishes() -> Iterator[None]:
    """A ``with`` block that ends in an error flushes its writer, as if it had ended well."""

    def leave(
        self: Writer, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.close()

    with patch.object(Writer, "__exit__", leave):
        yield


@planted_in_core("W7")
def ctrl_c_in_a_with_block_publishes() -> Iterator[None]:
    """A ``with`` block that ends in no error, but in Ctrl-C or an exit, flushes its writer."""

    def leave(
        self: Writer, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        if isinstance(error, Exception):
            self.discard()
        else:
            self.close()

    with patch.object(Writer, "__exit__", leave):
        yield


@planted_in_core("T3", "T4")
def a_failed_close_keeps_the_writer_open() -> Iterator[None]:
    """A writer whose close failed to flush is open."""

    def close(self: Writer) -> None:
        if not self.closed:
            self.flush()
            self.discard()

    with patch.object(Writer, "close", close):
        yield


@planted_in_core("T3", "T4")
def a_failed_end_keeps_the_writer_open() -> Iterator[None]:
    """A writer whose end failed to flush is open."""

    def end(self: Writer) -> None:
        self._check_open()
        handles.call_driver(self.scheme, self.key, self.publish_last)
        self.discard()

    with patch.object(Writer, "end", end):
        yield


@planted_in_core("W2")
def objects_of_any_size() -> Iterator[None]:
    """A writer hands on a write beyond 2^63 - 1 bytes."""
    with patch.object(handles, "LARGEST", 1 << 80):
        yield


@planted_in_core("W2")
def last_byte_refused() -> Iterator[None]:
    """A writer refuses the last byte that an object may have."""
    with patch.object(handles, "LARGEST", handles.LARGEST - 1):
        yield


@planted_in_core("W3")
def writer_seeks_from_the_published_end() -> Iterator[None]:
    """A writer seeks from the end that the object had when it was opened."""
    sizes: WeakKeyDictionary[Writer, int] = WeakKeyDictionary()
    write, seek = Writer.write, Writer.seek

    def note_and_write(self: Writer, data: Buffer) -> int:
        sizes.setdefault(self, self.size)
        return write(self, data)

    def seek_from_it(self: Writer, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            return seek(self, sizes.get(self, self.size) + offset)
        return seek(self, offset, whence)

    with patch.object(Writer, "write", note_and_write), patch.object(Writer, "seek", seek_from_it):
        yield


@planted_in_core("R6")
def any_whence_is_the_start() -> Iterator[None]:
    """A seek from nowhere is one from the start."""
    real = handles.seek_target

    def seek_target(offset: int, whence: int, position: int, size: int) -> int:
        return real(offset, whence if whence in {os.SEEK_CUR, os.SEEK_END} else os.SEEK_SET, position, size)

    with patch.object(handles, "seek_target", seek_target):
        yield

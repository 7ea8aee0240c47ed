"""Defects of the front before readers: offsets, seeks, buffers, and connections that break."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.driver import Reader
from layerstore.errors import BackendUnavailableError, InvalidOffsetError
from layerstore.handles import call_driver
from layerstore_conformance.engine.defect import planted_in_core

if TYPE_CHECKING:
    from typing_extensions import Buffer


@planted_in_core("R2")
def negative_offset_accepted() -> Iterator[None]:
    """A negative offset of a reader counts from the end of the object."""
    real = CheckedDriver.open_reader

    def open_reader(self: CheckedDriver, key: str, offset: int = 0) -> Reader:
        return real(self, key, offset if offset >= 0 else max(0, self.stat(key).size + offset))

    with patch.object(CheckedDriver, "open_reader", open_reader):
        yield


@planted_in_core("R5")
def broken_connection_is_the_end() -> Iterator[None]:
    """If a driver gets no more bytes in the middle of an object, the object ends there."""

    def fill(self: Reader, view: memoryview) -> int:
        done = 0
        while done < len(view):
            count = call_driver(self.scheme, self.key, self.read_at, self._position, view[done:])
            if count <= 0:
                break
            done += count
            self._position += count
        return done

    with patch.object(Reader, "_fill", fill):
        yield


@planted_in_core("R5", "R6")
def drips_passed_on() -> Iterator[None]:
    """A read returns the few bytes that a driver gives at a time, which a caller takes for the end."""

    def fill(self: Reader, view: memoryview) -> int:
        if not view:
            return 0
        count = call_driver(self.scheme, self.key, self.read_at, self._position, view)
        self._position += count
        return count

    with patch.object(Reader, "_fill", fill):
        yield


@planted_in_core("R6")
def seeks_from_the_wrong_end() -> Iterator[None]:
    """A seek from the end always goes to before the end, whatever the sign of the offset."""
    real = Reader.seek

    def seek(self: Reader, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return real(self, -offset if whence == os.SEEK_END else offset, whence)

    with patch.object(Reader, "seek", seek):
        yield


@planted_in_core("R6")
def reads_fill_one_item() -> Iterator[None]:
    """A read fills only the first item of a buffer with items larger than a byte."""
    real = Reader.readinto

    def readinto(self: Reader, buffer: Buffer) -> int:
        with memoryview(buffer) as whole, whole.cast("B") as view:
            return real(self, view[: whole.itemsize] if whole.itemsize > 1 else view)

    with patch.object(Reader, "readinto", readinto):
        yield


@planted_in_core("R6")
def seek_reads() -> Iterator[None]:
    """A seek reads the byte that it goes to."""
    real = Reader.seek

    def seek(self: Reader, offset: int, whence: int = os.SEEK_SET, /) -> int:
        target = real(self, offset, whence)
        if target < self.size:
            call_driver(self.scheme, self.key, self.read_at, target, memoryview(bytearray(1)))
        return target

    with patch.object(Reader, "seek", seek):
        yield


@planted_in_core("R6", "R2")
def seek_before_the_start_clamped() -> Iterator[None]:
    """A seek to before the start goes to the start."""
    real = Reader.seek

    def seek(self: Reader, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return real(self, offset, whence)
        except InvalidOffsetError:
            return real(self, 0)

    with patch.object(Reader, "seek", seek):
        yield


@planted_in_core("R5", "R6")
def failed_read_moves_the_position() -> Iterator[None]:
    """A read that fails after some of its bytes goes on behind them when it is tried again."""

    def fill(self: Reader, view: memoryview) -> int:
        done = 0
        while done < len(view):
            count = call_driver(self.scheme, self.key, self.read_at, self._position, view[done:])
            if count <= 0:
                raise BackendUnavailableError(self.key, "no more bytes", self.scheme)
            done += count
            self._position += count
        return done

    with patch.object(Reader, "_fill", fill):
        yield


@planted_in_core("R4", "R5")
def get_expects_the_first_size() -> Iterator[None]:
    """An object that is replaced while it is got must have as many bytes as the one that was there first."""

    def get(self: CheckedDriver, key: str, limit: int) -> bytes:
        size = min(self.stat(key).size, limit)
        try:
            with self.open_reader(key) as reader:
                data = reader.read(size)
        except BackendUnavailableError:
            with self.open_reader(key) as reader:
                data = reader.read(size)
        if len(data) != size:
            raise BackendUnavailableError(key, f"ends at byte {len(data)} of {size}", self.scheme)
        return data

    with patch.object(CheckedDriver, "get", get):
        yield


@planted_in_core("R1")
def limit_of_nothing_is_none() -> Iterator[None]:
    """A limit of no bytes is taken for none."""
    real = CheckedDriver.get
    with patch.object(CheckedDriver, "get", lambda self, key, limit: real(self, key, limit or 1 << 40)):
        yield

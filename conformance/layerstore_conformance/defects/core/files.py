"""Defects of handles as file objects: positions and counts that are wrong, and abilities that are denied."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore import handles
from layerstore.driver import Reader
from layerstore.handles import seek_target
from layerstore.layer import Layer
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from layerstore.uploads.intake import Reads, ReadsInto


@planted_in_core("R6")
def uploads_seek_returns_the_offset() -> Iterator[None]:
    """An upload's seek returns the offset that it was given."""
    real = LayerUpload.seek

    def seek(self: LayerUpload, offset: int, whence: int = os.SEEK_SET, /) -> int:
        real(self, offset, whence)
        return offset

    with patch.object(LayerUpload, "seek", seek):
        yield


@planted_in_core("R6")
def a_layers_seek_returns_the_offset() -> Iterator[None]:
    """A layer's seek returns the offset that it was given."""
    real = Layer.seek

    def seek(self: Layer, offset: int, whence: int = os.SEEK_SET, /) -> int:
        real(self, offset, whence)
        return offset

    with patch.object(Layer, "seek", seek):
        yield


@planted_in_core("R6", "W3")
def handles_seek_returns_the_offset() -> Iterator[None]:
    """A reader's or writer's seek returns the offset that it was given."""
    real = handles._Handle._seek_to

    def seek_to(self: handles._Handle, offset: int, whence: int, size: int) -> int:
        real(self, offset, whence, size)
        return offset

    with patch.object(handles._Handle, "_seek_to", seek_to):
        yield


@planted_in_core("W3")
def an_upload_ends_where_it_is() -> Iterator[None]:
    """The end of an upload is at its position, if that lies behind it."""
    real = LayerUpload.seek

    def seek(self: LayerUpload, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END and not self.closed:
            return real(self, seek_target(offset, os.SEEK_SET, 0, 0) + max(self.size, self.tell()))
        return real(self, offset, whence)

    with patch.object(LayerUpload, "seek", seek):
        yield


@planted_in_core("R6")
def a_refused_seek_of_an_upload_moves() -> Iterator[None]:
    """An upload whose seek was refused is at its start."""
    real = LayerUpload.seek

    def seek(self: LayerUpload, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return real(self, offset, whence)
        except ValueError:
            self._position = 0
            raise

    with patch.object(LayerUpload, "seek", seek):
        yield


@planted_in_core("R6")
def seeks_cut_off_fractions() -> Iterator[None]:
    """A seek to 0.9 goes to 0."""
    with patch.object(handles, "index", int):
        yield


@planted_in_core("W2")
def uploads_count_items() -> Iterator[None]:
    """An upload counts a buffer's items where it should count its bytes."""
    real = LayerUpload.write

    def write(self: LayerUpload, data: Buffer) -> int:
        real(self, data)
        view = memoryview(data)
        return view.nbytes // view.itemsize

    with patch.object(LayerUpload, "write", write):
        yield


@planted_in_core("W3")
def a_stream_is_counted_from_the_start() -> Iterator[None]:
    """An upload counts the bytes of a stream, and those before it."""
    real = LayerUpload.read_from

    def read_from(self: LayerUpload, stream: ReadsInto | Reads) -> int:
        real(self, stream)
        return self.tell()

    with patch.object(LayerUpload, "read_from", read_from):
        yield


@planted_in_core("R6")
def reads_are_counted_in_items() -> Iterator[None]:
    """A reader counts the items of a buffer that it filled."""
    real = Reader.readinto

    def readinto(self: Reader, buffer: Buffer) -> int:
        return real(self, buffer) // memoryview(buffer).itemsize

    with patch.object(Reader, "readinto", readinto):
        yield


@planted_in_core("R6")
def a_layers_reads_are_counted_in_items() -> Iterator[None]:
    """A layer counts the items of a buffer that it filled."""
    real = Layer.readinto

    def readinto(self: Layer, buffer: Buffer) -> int:
        return real(self, buffer) // memoryview(buffer).itemsize

    with patch.object(Layer, "readinto", readinto):
        yield


@planted_in_core("R6", "W6")
def uploads_are_not_writable() -> Iterator[None]:
    """An upload does not say that it can be written."""
    with patch.object(LayerUpload, "writable", io.RawIOBase.writable):
        yield


@planted_in_core("R6", "W6")
def uploads_are_not_seekable() -> Iterator[None]:
    """An upload does not say that it can seek."""
    with patch.object(LayerUpload, "seekable", io.RawIOBase.seekable):
        yield


@planted_in_core("R6")
def layers_are_not_readable() -> Iterator[None]:
    """A layer does not say that it can be read."""
    with patch.object(Layer, "readable", io.RawIOBase.readable):
        yield


@planted_in_core("R6")
def readall_of_a_layer_moves_nothing() -> Iterator[None]:
    """A layer that was read to its end is where it was before."""
    real = Layer.readall

    def readall(self: Layer) -> bytes:
        before = self.tell()
        data = real(self)
        self.seek(before)
        return data

    with patch.object(Layer, "readall", readall):
        yield

"""Defects of what is closed, or belongs to a parent process: it takes what does nothing, or is closed again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.driver import Reader, Writer
from layerstore.errors import FencedError, LayerClosedError
from layerstore.handles import call_driver
from layerstore.layer import Layer
from layerstore.service import LayerService
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer


@planted_in_core("T3")
def closed_readers_read_nothing() -> Iterator[None]:
    """A closed reader, asked for no bytes, returns none."""
    real = Reader.readinto

    def readinto(self: Reader, buffer: Buffer) -> int:
        return real(self, buffer) if memoryview(buffer).nbytes else 0

    with patch.object(Reader, "readinto", readinto):
        yield


@planted_in_core("T3")
def closed_writers_take_nothing() -> Iterator[None]:
    """A closed writer takes a write of no bytes."""
    real = Writer.write

    def write(self: Writer, data: Buffer) -> int:
        return real(self, data) if memoryview(data).nbytes else 0

    with patch.object(Writer, "write", write):
        yield


@planted_in_core("T3")
def closed_uploads_take_nothing() -> Iterator[None]:
    """A closed upload, and one whose data has become a blob, takes a write of no bytes."""
    real = LayerUpload.write

    def write(self: LayerUpload, data: Buffer) -> int:
        return real(self, data) if memoryview(data).nbytes else 0

    with patch.object(LayerUpload, "write", write):
        yield


@planted_in_core("T3")
def closed_uploads_tell() -> Iterator[None]:
    """A closed upload tells its position."""
    with patch.object(LayerUpload, "tell", lambda self: self._position):
        yield


def _cannot_be_written(self: object, data: Buffer) -> int:
    raise io.UnsupportedOperation(f"{type(self).__name__} cannot be written")


@planted_in_core("T3")
def closed_readers_are_only_read_only() -> Iterator[None]:
    """A closed reader that is written to says that it is read only."""
    with patch.object(Reader, "write", _cannot_be_written):
        yield


@planted_in_core("T3")
def closed_layers_are_only_read_only() -> Iterator[None]:
    """A closed layer that is written to says that it is read only."""
    with patch.object(Layer, "write", _cannot_be_written):
        yield


@planted_in_core("T3")
def closed_readers_cannot_be_printed() -> Iterator[None]:
    """The text of a reader has its position, which a closed one does not tell."""
    with patch.object(Reader, "__repr__", lambda self: f"<{type(self).__name__} {self.key!r} at {self.tell()}>"):
        yield


@planted_in_core("T5", "T3")
def layers_are_opened_in_a_child() -> Iterator[None]:
    """A forked child opens the layer that its parent has not read yet."""

    def check_open(self: Layer) -> None:
        if self.closed:
            raise LayerClosedError(f"layer {self.digest}")

    with patch.object(Layer, "_check_open", check_open):
        yield


@planted_in_core("T5")
def uploads_tell_a_child() -> Iterator[None]:
    """An upload tells a forked child its position."""

    def tell(self: LayerUpload) -> int:
        if self.closed:
            raise LayerClosedError(f"upload {self.uuid}")
        return self._position

    with patch.object(LayerUpload, "tell", tell):
        yield


@planted_in_core("T3")
def a_driver_whose_close_failed_is_open() -> Iterator[None]:
    """A driver whose close failed is closed again by the next close."""

    def close(self: CheckedDriver) -> None:
        if not self._closed:
            call_driver(self.scheme, "", self.inner.close)
            self._closed = True

    with patch.object(CheckedDriver, "close", close):
        yield


@planted_in_core("T3", "T4")
def an_error_leaves_the_service_open() -> Iterator[None]:
    """A ``with`` block that ends in an error leaves its service open."""
    real = LayerService.__exit__

    def leave(
        self: LayerService, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            real(self, kind, error, trace)

    with patch.object(LayerService, "__exit__", leave):
        yield


@planted_in_core("T3", "T4")
def readers_are_released_at_each_close() -> Iterator[None]:
    """A reader gives back what it holds at every close."""
    real = Reader.close

    def close(self: Reader) -> None:
        again = self.closed
        real(self)
        if again:
            self.release()

    with patch.object(Reader, "close", close):
        yield


@planted_in_core("T3", "T4")
def writers_are_released_at_each_discard() -> Iterator[None]:
    """A writer gives back what it holds at every discard."""
    real = Writer.discard

    def discard(self: Writer) -> None:
        again = self.closed
        real(self)
        if again:
            self.release()

    with patch.object(Writer, "discard", discard):
        yield


@planted_in_core("T3", "T4")
def a_fenced_close_holds_on() -> Iterator[None]:
    """A writer whose close is fenced is closed, and gives back nothing."""
    real = Writer.close

    def close(self: Writer) -> None:
        if not self.closed:
            try:
                self.flush()
            except FencedError:
                self.closed = True
                raise
        real(self)

    with patch.object(Writer, "close", close):
        yield


@planted_in_core("T3")
def an_upload_whose_close_failed_is_open() -> Iterator[None]:
    """An upload whose close failed is open."""

    def close(self: LayerUpload) -> None:
        if not self.closed:
            self.flush()
            self._release()

    with patch.object(LayerUpload, "close", close):
        yield

"""Defects of the core that show only when the backend fails: wrong steps after an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import BackendUnavailableError, DriverError, NoSpaceError, PathNotFoundError
from layerstore.hashing.cursor import OVERLAP
from layerstore.layer import Layer
from layerstore.service import LayerService, UploadInfo
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

if TYPE_CHECKING:
    from typing_extensions import Buffer


@planted_in_core("W8")
def failed_flush_is_not_tried_again() -> Iterator[None]:
    """A flush that failed counts as done when it is repeated."""
    real = Spool.publish
    failed: dict[int, int] = {}

    def publish(self: Spool) -> None:
        if failed.pop(id(self), None) == self.size:
            return
        try:
            real(self)
        except BackendUnavailableError:
            failed[id(self)] = self.size
            raise

    with patch.object(Spool, "publish", publish):
        yield


@planted_in_core("W2")
def torn_bytes_stay_hashed() -> Iterator[None]:
    """Bytes that the driver refused count as stored, if they lie at the position of the hash."""
    real = Spool.store

    def store(self: Spool, offset: int, data: bytes | memoryview) -> None:
        try:
            real(self, offset, data)
        except DriverError:
            self._certain = True
            if self._cursor.offset == offset:
                (self._cursor.start if len(data) >= OVERLAP else self._cursor.feed)(bytes(data))
            raise

    with patch.object(Spool, "store", store):
        yield


@planted_in_core("E1", "E4")
def full_disk_ends_the_upload() -> Iterator[None]:
    """An upload that meets a full backend is cancelled."""
    real = LayerUpload.write

    def write(self: LayerUpload, data: Buffer) -> int:
        try:
            return real(self, data)
        except NoSpaceError:
            self.cancel()
            raise

    with patch.object(LayerUpload, "write", write):
        yield


@planted_in_core("P1")
def failed_link_is_forgotten() -> Iterator[None]:
    """A finish goes on after a link that could not be put."""
    real = links.write

    def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        with suppress(BackendUnavailableError):
            real(driver, name, digest, target)

    with patch.object(links, "write", write):
        yield


@planted_in_core("R5")
def failed_read_skips() -> Iterator[None]:
    """After a failed read a layer goes on behind the piece that could not be read."""
    real = Layer.readinto

    def readinto(self: Layer, buffer: Buffer) -> int:
        try:
            return real(self, buffer)
        except BackendUnavailableError:
            self._position += memoryview(buffer).nbytes
            raise

    with patch.object(Layer, "readinto", readinto):
        yield


@planted_in_core("L4")
def stale_listing_is_an_error() -> Iterator[None]:
    """If an upload goes while uploads are listed, the listing raises an error."""
    real = LayerService._upload

    def upload(self: LayerService, name: str, uuid: str) -> Iterator[UploadInfo]:
        found = list(real(self, name, uuid))
        if not found:
            raise PathNotFoundError(uuid)
        return iter(found)

    with patch.object(LayerService, "_upload", upload):
        yield

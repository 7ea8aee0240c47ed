"""Defects of the core that only a backend that fails brings to light: what is done, or not, after an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore import links
from layerstore.checked import CheckedDriver
from layerstore.cursor import OVERLAP
from layerstore.digest import Digest
from layerstore.errors import BackendUnavailableError, DriverError, NoSpaceError, PathNotFoundError
from layerstore.layer import Layer
from layerstore.service import LayerService, UploadInfo
from layerstore.spool import Spool
from layerstore.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

if TYPE_CHECKING:
    from typing_extensions import Buffer


@planted_in_core("W8")
def failed_flush_is_not_tried_again() -> Iterator[None]:
    """A flush that failed is taken for done when it is tried again."""
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
    """Bytes that the driver refused are taken for stored, if they would have lain where hashing goes on."""
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
    """An upload that there is no room for is cancelled."""
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
    """A finish goes on as if a link that could not be put had been."""
    real = links.write

    def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        with suppress(BackendUnavailableError):
            real(driver, name, digest, target)

    with patch.object(links, "write", write):
        yield


@planted_in_core("R5")
def failed_read_skips() -> Iterator[None]:
    """A layer of which a piece could not be read goes on behind it."""
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
    """An upload that has gone since it was listed is an error of whoever lists uploads."""
    real = LayerService._upload

    def upload(self: LayerService, name: str, uuid: str) -> Iterator[UploadInfo]:
        found = list(real(self, name, uuid))
        if not found:
            raise PathNotFoundError(uuid)
        return iter(found)

    with patch.object(LayerService, "_upload", upload):
        yield

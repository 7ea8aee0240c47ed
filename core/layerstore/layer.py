"""Layers: finished, verified, readable."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import layout
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import (
    BackendUnavailableError,
    InvalidOffsetError,
    LayerClosedError,
    PathNotFoundError,
    UnknownLayerError,
)
from layerstore.fslayer import FSLayer
from layerstore.handles import seek_target
from layerstore.threads.owned import Owned

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from typing_extensions import Buffer

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Reader


class Layer(Owned, io.RawIOBase):
    """A finished layer: a readable, seekable binary file object, for tarfile, shutil or an HTTP server.

    Seeking to the end costs no read. One thread at a time may use it. Closing it changes nothing in the store.
    """

    def __init__(
        self,
        driver: CheckedDriver,
        name: str,
        digest: Digest,
        canonical: Digest,
        created_at: datetime,
        content: Reader | int,
    ) -> None:
        """Read an open blob or, if ``content`` is its size in bytes, open the blob when it is first read."""
        super().__init__()
        self.name = name
        """The repository in which it was fetched or finished."""
        self.digest = digest
        """The digest by which it was fetched or finished."""
        self.canonical = canonical
        """Its sha256."""
        self.created_at = created_at
        """When it was linked into the repository; aware, in UTC."""
        self.size = content if isinstance(content, int) else content.size
        """Bytes."""
        self._driver = driver
        self._reader = None if isinstance(content, int) else content
        self._position = 0  # of the next read; the reader's follows
        self._take_hold()

    def readinto(self, buffer: Buffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 only at the end.

        Raises:
            LayerClosedError: the layer is closed.
            UnknownLayerError: the blob has gone since the layer was finished.
        """
        self._check_open()
        reader = self._opened()
        reader.seek(self._position)
        try:
            count = reader.readinto(buffer)
        except BackendUnavailableError:
            fresh = self._replaced(reader)
            if fresh is None:
                raise
            count = fresh.readinto(buffer)
        self._position += count
        return count

    def readall(self) -> bytes:
        """Read from the position to the end."""
        return self.read(max(0, self.size - self.tell()))

    def write(self, data: Buffer) -> int:
        """Refuse: a layer is read only.

        Raises:
            io.UnsupportedOperation: always, but LayerClosedError if the layer is closed.
        """
        del data
        self._check_open()
        raise io.UnsupportedOperation("a layer cannot be written")

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset in bytes, beyond the end too.

        Raises:
            InvalidOffsetError: the offset would be negative.
        """
        self._check_open()
        target = seek_target(offset, whence, self._position, self.size)
        if target < 0:
            raise InvalidOffsetError(layout.blob(self.canonical), f"seek to {target}", self._driver.scheme)
        self._position = target
        return target

    def tell(self) -> int:
        """Return the position in bytes."""
        self._check_open()
        return self._position

    def fileno(self) -> int:
        """Return a descriptor of the file that holds the layer, from its first byte on: for ``sendfile``, say.

        The layer owns it, and closes it. Its position has nothing to do with :meth:`tell`.

        Raises:
            io.UnsupportedOperation: the driver has no file.
            LayerClosedError, UnknownLayerError: as :meth:`readinto`.
        """
        self._check_open()
        return self._opened().fileno()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close; closing again does nothing."""
        super().close()
        reader: Reader | None = getattr(self, "_reader", None)  # not there if the constructor failed
        if reader is not None and self._opened_here():
            reader.close()

    def _opened(self) -> Reader:
        if self._reader is None:
            try:
                self._reader = self._driver.open_reader(layout.blob(self.canonical))
            except PathNotFoundError as error:
                raise UnknownLayerError(self.name, FSLayer(str(self.digest))) from error
        return self._reader

    def _replaced(self, stale: Reader) -> Reader | None:
        """Return a reader of the blob that has replaced this one, if any. It is the same layer, so the same bytes."""
        reader = self._driver.open_reader(layout.blob(self.canonical))
        reader.seek(self._position)
        if reader.version == stale.version:
            reader.close()
            return None
        stale.close()
        self._reader = reader
        return reader

    def _check_open(self) -> None:
        if self.closed:
            raise LayerClosedError(f"layer {self.digest}")
        if not self._opened_here():
            raise LayerClosedError(f"layer {self.digest}, opened before a fork,")

    def __repr__(self) -> str:
        return f"<Layer {self.name}@{self.digest} {self.size} bytes>"


def open_layer(driver: CheckedDriver, name: str, digest: Digest) -> Layer:
    """Open a layer of a repository.

    Raises:
        UnknownLayerError: there is no link, or a damaged one, or its blob is missing or cannot have that size.
    """
    canonical = links.read(driver, name, digest)
    if canonical is not None:
        try:
            created_at = driver.stat(layout.link(name, digest)).modified
            reader = driver.open_reader(layout.blob(canonical))
            layer = Layer(driver, name, digest, canonical, created_at, reader)
        except PathNotFoundError:
            pass
        else:
            if canonical.allows(layer.size) and digest.allows(layer.size):
                return layer
            layer.close()
    raise UnknownLayerError(name, FSLayer(str(digest)))


def has_layer(driver: CheckedDriver, name: str, digest: Digest) -> bool:
    """Return whether :func:`open_layer` would open a layer."""
    return _allowed(driver, digest, links.read(driver, name, digest)) is not None


def renew_layer(driver: CheckedDriver, name: str, digest: Digest) -> bool:
    """Return whether :func:`open_layer` would open a layer, and have its link stay for now.

    Raises:
        DriverError: as :func:`layerstore.contents.links.renew`.
    """
    if digest.is_tarsum:
        return has_layer(driver, name, digest)  # no manifest has such a name, so no collection drops it
    canonical = links.renew(driver, layout.link(name, digest))
    if canonical is None or not links.may_point(digest, canonical):
        return False
    return _allowed(driver, digest, canonical) is not None


def signed_url(driver: CheckedDriver, name: str, digest: Digest, lasts: timedelta) -> str | None:
    """Return a URL by which anybody can read a layer of a repository; None if the driver gives none.

    Raises:
        UnknownLayerError: as :func:`open_layer`.
    """
    canonical = _allowed(driver, digest, links.read(driver, name, digest))
    if canonical is not None:
        with suppress(PathNotFoundError):  # it goes at this moment
            return driver.redirect_url(layout.blob(canonical), lasts)
    raise UnknownLayerError(name, FSLayer(str(digest)))


def _allowed(driver: CheckedDriver, digest: Digest, canonical: Digest | None) -> Digest | None:
    """Return the blob that a link points to; None if there is none of a size that the digests allow."""
    stat = None if canonical is None else driver.find(layout.blob(canonical))
    if canonical is None or stat is None:
        return None
    return canonical if canonical.allows(stat.size) and digest.allows(stat.size) else None

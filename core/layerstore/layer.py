"""Layers: finished, verified, readable."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from layerstore import layout, links
from layerstore.digest import Digest, FSLayer
from layerstore.errors import BackendUnavailableError, LayerClosedError, PathNotFoundError, UnknownLayerError
from layerstore.owned import Owned

if TYPE_CHECKING:
    from datetime import datetime

    from typing_extensions import Buffer

    from layerstore.checked import CheckedDriver


class Layer(Owned, io.RawIOBase):
    """A finished layer: a readable, seekable binary file object, good for tarfile, shutil or an HTTP server.

    Seeking to the end costs no read. One thread at a time; closing it does nothing to the store.
    """

    def __init__(
        self, driver: CheckedDriver, name: str, digest: Digest, canonical: Digest, created_at: datetime
    ) -> None:
        """Open the layer's blob."""
        super().__init__()
        self.name = name
        """The repository it was fetched from."""
        self.digest = digest
        """The digest it was asked for by."""
        self.canonical = canonical
        """Its sha256."""
        self.created_at = created_at
        """When it was linked into the repository; aware, in UTC."""
        self._driver = driver
        self._reader = driver.open_reader(layout.blob(canonical))
        self.size = self._reader.size
        """Bytes."""
        self._take_hold()

    def readinto(self, buffer: Buffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 only at the end.

        Raises:
            LayerClosedError: the layer is closed.
        """
        self._check_open()
        try:
            return self._reader.readinto(buffer)
        except BackendUnavailableError:
            if not self._reopened():
                raise
            return self._reader.readinto(buffer)

    def readall(self) -> bytes:
        """Read from the position to the end."""
        return self.read(max(0, self.size - self.tell()))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset in bytes, beyond the end too.

        Raises:
            InvalidOffsetError: the offset would be negative.
        """
        self._check_open()
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        """Return the position in bytes."""
        self._check_open()
        return self._reader.tell()

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def seekable(self) -> bool:
        """Say that this can be seeked."""
        return True

    def close(self) -> None:
        """Close; closing again does nothing."""
        super().close()
        if self._opened_here():
            self._reader.close()

    def _reopened(self) -> bool:
        """Go on in the blob that has replaced this one, if one has: the same layer once more, so the same bytes."""
        stale, self._reader = self._reader, self._driver.open_reader(layout.blob(self.canonical))
        self._reader.seek(stale.tell())
        stale.close()
        return self._reader.version != stale.version

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
        UnknownLayerError: no link, a damaged one, or one to a blob that is not there, or that its size disproves.
    """
    canonical = links.read(driver, name, digest)
    if canonical is not None:
        try:
            created_at = driver.stat(layout.link(name, digest)).modified
            layer = Layer(driver, name, digest, canonical, created_at)
        except PathNotFoundError:
            pass
        else:
            if canonical.allows(layer.size) and digest.allows(layer.size):
                return layer
            layer.close()
    raise UnknownLayerError(name, FSLayer(str(digest)))


def has_layer(driver: CheckedDriver, name: str, digest: Digest) -> bool:
    """Tell whether :func:`open_layer` would open a layer."""
    canonical = links.read(driver, name, digest)
    stat = None if canonical is None else driver.find(layout.blob(canonical))
    if canonical is None or stat is None:
        return False
    return canonical.allows(stat.size) and digest.allows(stat.size)

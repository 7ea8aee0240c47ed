"""The body of a request: it is streamed, and a body that was cut off never counts as complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_registry.messages.remains import Reads, received, remains

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerstore import LayerUpload

BLOCK = 1 << 20
"""Bytes that are received at a time, and written without another copy."""


class CutOffError(Exception):
    """The connection ended, or was silent for too long, in the middle of a body. The bytes before that are kept."""


class TooMuchError(Exception):
    """A body is larger than its limit."""


class Body:
    """The bytes of a request: of a given length, or in chunks."""

    def __init__(self, stream: Reads, length: int | None) -> None:
        """Receive from a stream. ``length`` is in bytes, or None if the stream marks its end."""
        self._stream = stream
        self.length = length
        self.taken = 0
        """Bytes received."""
        self._broken: Exception | None = None

    def read(self, size: int) -> bytes:
        """Return up to so many bytes, and no bytes at the end.

        Raises:
            CutOffError: the body was cut off.
        """
        if self._broken:
            raise CutOffError(f"after {self.taken} bytes: {type(self._broken).__name__}") from self._broken
        if self.length is not None:
            size = min(size, self.length - self.taken)
        data = self._received(size) if size else b""
        if size and not data and self.length is not None:
            raise CutOffError(f"{self.taken} of {self.length} bytes came")
        self.taken += len(data)
        return data

    def _received(self, size: int) -> bytes:
        try:
            return received(self._stream, size)
        except Exception as error:  # noqa: BLE001  (each server has errors of its own for a body that breaks off)
            self._broken = error
            return remains(self._stream) or self.read(size)

    def blocks(self) -> Iterator[bytes]:
        """Yield all of it.

        Raises:
            CutOffError: as :meth:`read`.
        """
        while data := self.read(BLOCK):
            yield data

    def drain(self) -> None:
        """Receive and drop all of it: a client that is still sending may not read the answer yet."""
        for _ in self.blocks():
            pass

    def whole(self, limit: int) -> bytes:
        """Return all of it. If it is more than ``limit`` bytes, return only ``limit`` + 1 of them.

        Raises:
            CutOffError: as :meth:`read`.
        """
        parts, left = [], limit + 1
        while left and (data := self.read(min(BLOCK, left))):
            parts.append(data)
            left -= len(data)
        return b"".join(parts)


def store(body: Body, upload: LayerUpload, *, flush_every: int | None = None, limit: int | None = None) -> None:
    """Write a body to an upload, and flush it every so many bytes. ``limit`` is the upload's largest size, in bytes.

    Raises:
        CutOffError: as :meth:`Body.read`. The bytes before that are written.
        TooMuchError: it is more than ``limit``. The bytes before that are written.
    """
    flushed = upload.size
    for data in body.blocks():
        if limit is not None and upload.size + len(data) > limit:
            raise TooMuchError(f"more than {limit} bytes")
        upload.write(data)
        if flush_every is not None and upload.size - flushed >= flush_every:
            upload.flush()
            flushed = upload.size

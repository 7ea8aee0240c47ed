"""A part of a layer, as a server sends it: by its descriptor, or read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerstore import Layer
    from layerstore_registry.messages.ranges import Span


class Part:
    """A part of a layer as a file: a server may send it by its descriptor, or read it."""

    def __init__(self, layer: Layer, span: Span) -> None:
        """Begin at the part's first byte. Closing the part closes the layer."""
        self._layer = layer
        self._left = span.length
        layer.seek(span.start)
        self._start = span.start
        self.sent = 0
        """Bytes sent by its descriptor."""

    def fileno(self) -> int:
        """Return the layer's descriptor, positioned at the beginning of the part. The server knows the part's length.

        Raises:
            io.UnsupportedOperation: there is none.
        """
        descriptor = self._layer.fileno()
        os.lseek(descriptor, self._start, os.SEEK_SET)
        return descriptor

    def read(self, size: int) -> bytes:
        """Return up to so many bytes, and no bytes at the end of the part."""
        data = self._layer.read(min(size, self._left))
        self._left -= len(data)
        return data

    def seek(self, offset: int) -> None:
        """Learn up to where the layer has been sent from its file; for nothing else is this called."""
        self.sent = offset - self._start

    def close(self) -> None:
        """Close the layer."""
        self._layer.close()

"""Reading one version (clauses R1 to R6)."""

from __future__ import annotations

import os

from layerstore.driver import Reader
from layerstore.errors import InvalidOffsetError
from layerstore_drivers.local.published import Published


class LocalReader(Reader):
    """An open file up to where it was flushed: bytes below that are never changed, only replaced by another file."""

    def __init__(self, key: str, source: Published, offset: int) -> None:
        """Take over the descriptor of ``source``.

        Raises:
            InvalidOffsetError: the offset is beyond the end; the descriptor is closed.
        """
        super().__init__(key, source.size, source.version, offset)
        self._fd = source.fd
        if offset > source.size:
            self.close()
            raise InvalidOffsetError(key, f"offset {offset} of {source.size}")

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill the buffer, or what one system call fills of it."""
        return os.preadv(self._fd, [buffer], offset)

    def release(self) -> None:
        """Close the file."""
        os.close(self._fd)

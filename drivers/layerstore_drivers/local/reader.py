"""Reading one version (clauses R1 to R6)."""

from __future__ import annotations

import os

from layerstore.driver import Reader
from layerstore.errors import InvalidOffsetError
from layerstore_drivers.local.published import Published

LARGE = 256 << 10
"""Bytes of a read from which on more of the file is fetched: who reads so much is likely to go on."""

AHEAD = 8 << 20
"""Bytes that are fetched before they are asked for; the system's own reading ahead is of 128 KiB."""


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
        self._asked = offset

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill the buffer, or what one system call fills of it."""
        count = os.preadv(self._fd, [buffer], offset)
        if count >= LARGE:
            self._read_ahead(offset + count)
        return count

    def fileno(self) -> int:
        """Return the file's descriptor."""
        self._check_open()
        return self._fd

    def _read_ahead(self, offset: int) -> None:
        """Have the system fetch what comes next, while what was read is hashed or sent."""
        coming = self._asked - offset
        if AHEAD // 2 <= coming <= AHEAD or not hasattr(os, "posix_fadvise"):
            return
        start = self._asked if 0 <= coming < AHEAD else offset
        self._asked = offset + AHEAD
        os.posix_fadvise(self._fd, start, self._asked - start, os.POSIX_FADV_WILLNEED)

    def release(self) -> None:
        """Close the file."""
        os.close(self._fd)

"""The source of an upload's bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from layerstore.cli.signals import signals
from layerstore.digest import Digest
from layerstore.hashing.cursor import BLOCK


class SourceChangedError(click.ClickException):
    """The source does not begin with the bytes that were sent before."""


class Source:
    """A file, a FIFO or standard input, read once from its present position."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name = name
        self.total = _size(stream)
        """Bytes at the time of opening, or None if unknown; the source may still grow or shrink."""
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer, and return the number of bytes: fewer only at the end.

        Raises:
            BlockingIOError: the source is non-blocking and has nothing now.
        """
        with signals.let_through():
            count: int | None = self._stream.readinto(buffer)  # type: ignore[attr-defined]  # typeshed has it on IO's children
        if count is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), self.name)
        return count


class Stretch:
    """The next bytes of a source, up to a limit; ``tell`` is called with the number of bytes of each read."""

    def __init__(self, source: Source, tell: Callable[[int], None], limit: int = sys.maxsize) -> None:
        self._source = source
        self._tell = tell
        self._left = limit

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer, up to the limit."""
        count = self._source.readinto(buffer[: self._left])
        self._left -= count
        self._tell(count)
        return count


def measure(stream: Stretch) -> tuple[Digest, int]:
    """Read to the end, and return the sha256 and the number of bytes."""
    hasher, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(BLOCK))
    while count := stream.readinto(buffer):
        hasher.update(buffer[:count])
        size += count
    return Digest("sha256", hasher.hexdigest()), size


@contextmanager
def open_source(name: str) -> Iterator[Source]:
    """Open a path or, for ``-``, standard input."""
    if name == "-":
        if sys.stdin is None:  # it was closed when the program was started
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard input")
        yield Source("standard input", sys.stdin.buffer)
        return
    with open(name, "rb") as stream:
        yield Source(name, stream)


def _size(stream: BinaryIO) -> int | None:
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        return None
    return status.st_size - stream.tell() if stat.S_ISREG(status.st_mode) else None

"""The input of an upload: any buffer, in blocks that cannot change; any binary stream, by the method that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from layerstore.hashing.cursor import BLOCK

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ReadsInto(Protocol):
    """A stream that fills a buffer. It returns 0 at its end, and None if it is non-blocking and has nothing now."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer, and return the number of bytes."""


class Reads(Protocol):
    """A stream that returns bytes: no bytes at its end, and None if it is non-blocking and has nothing now."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to ``size`` bytes."""


def blocks(data: Buffer) -> Iterator[bytes | memoryview]:
    """Yield a buffer's bytes in blocks that cannot change: the bytes hashed must be the bytes stored."""
    with memoryview(data) as whole:
        if not whole.nbytes:
            return
        with whole.cast("B") as view:
            for start in range(0, len(view), BLOCK):
                block = view[start : start + BLOCK]
                yield block if isinstance(whole.obj, bytes) else bytes(block)


def filler(stream: ReadsInto | Reads) -> Callable[[memoryview], int | None]:
    """Return the stream's ``readinto``, or one that uses its ``read``."""
    fill: Callable[[memoryview], int | None] | None = getattr(stream, "readinto", None)
    return fill or _fill_by_reading(stream.read)  # type: ignore[union-attr]  # no readinto, so it reads


def _fill_by_reading(read: Callable[[int], bytes | None]) -> Callable[[memoryview], int | None]:
    def fill(buffer: memoryview) -> int | None:
        data = read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    return fill

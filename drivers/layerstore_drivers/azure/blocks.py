"""Blocks: their sizes and names, the bytes that are not yet one, and their way to the service."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from layerstore.errors import DriverError
from layerstore.threads.pool import Pool

if TYPE_CHECKING:
    from layerstore_drivers.azure.found import Found, Listed

MAX_BLOCKS = 50_000
"""Blocks that a committed blob may have (Put Block List, Microsoft's documentation)."""

FIRST = 8 << 20
"""Bytes of a block at the start of a blob."""

DOUBLED_EVERY = 8192
"""Blocks of one size, before blocks of twice that size follow: 1 TiB takes 24,576 blocks. If all are half full, the
worst result of many short appends (see ``writer.Draft``), it takes fewer than 50,000."""

LARGEST = 1 << 30
"""Bytes; the service takes 4,000 MiB, memory does not."""

WIDTH = 24
"""Characters of a block's id: all ids of one blob have the same length. 16 are the session's own, 8 count."""


def block_size(offset: int, first: int = FIRST) -> int:
    """Return how large a block that begins at ``offset`` is, all in bytes; ``first`` is the size at offset 0."""
    size = first
    while offset >= size * DOUBLED_EVERY and size < LARGEST:
        size *= 2
    return size


def count_of(size: int, first: int = FIRST) -> int:
    """Return how many blocks an object has whose blocks are as large as :func:`block_size` says; sizes in bytes."""
    count = end = 0
    while end < size:
        each = block_size(end, first)
        stop = size if each >= LARGEST else min(size, each * DOUBLED_EVERY)
        alike = -(-(stop - end) // each)
        count, end = count + alike, end + alike * each
    return min(count, MAX_BLOCKS)


@dataclass(slots=True, eq=False)
class Block:
    """Some bytes of a blob, in one piece. If they repeat, as zeros do, one object is at several places."""

    size: int
    """Bytes; never none."""
    id: str = ""
    """Its name among the blob's blocks; empty for a part of a blob that was stored without blocks."""
    data: bytes | None = None
    """The bytes, while they are not staged, or are likely to be needed again."""
    at: int | None = None
    """The offset at which the service can read it; None while it is not committed."""
    staged: bool = False
    """The service has it, committed or not."""
    zeros: bool = False
    """It holds nothing but zeros."""
    keep: bool = False
    """The bytes stay in memory when they are staged."""


class BlockIDs:
    """Names for the blocks of one session, of the length that the blob's other blocks have.

    They begin with a nonce: a commit names ids, and for each the service takes the newest block, from any writer.
    """

    def __init__(self, known: frozenset[str] = frozenset()) -> None:
        """Name blocks beside those that have the ``known`` names."""
        self._known = set(known)
        self._width = len(next(iter(known))) if known else WIDTH
        self._nonce = secrets.token_hex(8)
        self._count = 0

    def new(self) -> str:
        """Return a name that no block has."""
        while True:
            self._count += 1
            name = f"{self._nonce}{self._count:0{max(1, self._width - 16)}d}"
            if len(name) != self._width:  # another tool's ids are too short for a nonce: as random as they can be
                name = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(self._width))
            if name not in self._known:
                self._known.add(name)
                return name


class Tail:
    """Bytes that grow until they are a block. They become the block without a copy, because a block is large."""

    def __init__(self) -> None:
        """Begin with none."""
        self._buffer = BytesIO()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Overwrite and append; ``at`` is not beyond the end."""
        self._buffer.seek(at)
        self._size = max(self._size, at + self._buffer.write(data))

    def cut(self, size: int) -> None:
        """Keep at most ``size`` bytes."""
        if size < self._size:
            self._buffer.truncate(size)
            self._size = size

    def gathered(self) -> bytes:
        """Return everything: the buffer itself, which is copied only if it is written to again."""
        return self._buffer.getvalue()


class Stager:
    """One writer's blocks on their way. A block that fails keeps its bytes, and is sent again before a commit."""

    def __init__(self, pool: Pool, upload: Callable[[str, bytes], None]) -> None:
        """Stage by ``upload``, which takes a block's id and bytes."""
        self._pool = pool
        self._upload = upload
        self._underway: dict[Future[None], Block] = {}
        self._failed: list[Block] = []

    def admit(self) -> None:
        """Send failed blocks again, before more bytes are accepted.

        Raises:
            DriverError: one fails again.
        """
        while self._failed:
            self._stage(self._failed[-1])
            self._failed.pop()

    def submit(self, block: Block) -> None:
        """Send a block, as soon as fewer than the pool's threads are busy with this writer's blocks."""
        self.leave(1)
        self._underway[self._pool.submit(partial(self._stage, block))] = block

    def leave(self, idle: int) -> None:
        """Wait until so many of the pool's threads, or all, have none of this writer's blocks, nor their memory."""
        while len(self._underway) > max(0, self._pool.threads - idle):
            done, _ = wait(self._underway, return_when=FIRST_COMPLETED)
            self._collect(done)

    def settle(self, last: Block | None = None) -> None:
        """Send ``last``, here and now, and wait for all others.

        Raises:
            DriverError: a block cannot be stored; it may be tried again.
        """
        if last is not None:
            self._failed.append(last)
            if not self._underway:
                self.admit()
        self._collect(wait(self._underway).done)
        self.admit()

    def forget(self) -> None:
        """Drop the blocks that have not begun."""
        for future in self._underway:
            future.cancel()
        self._underway.clear()
        self._failed.clear()

    def _collect(self, done: set[Future[None]]) -> None:
        for future in done:
            block = self._underway.pop(future)
            with suppress(DriverError):
                future.result()
            if not block.staged:
                self._failed.append(block)

    def _stage(self, block: Block) -> None:
        data = block.data
        if block.staged or data is None:
            return
        self._upload(block.id, data)
        block.staged = True
        if not block.keep:
            block.data = None


def committed(listed: Listed, found: Found, first: int) -> list[Block]:
    """Return the blocks of the object; bytes that were stored without blocks are cut into some without a name."""
    blocks: list[Block] = []
    size = found.size or 0
    if sum(length for _, length in listed) == found.blob_size:
        for name, length in listed:
            if _end(blocks) < size and length:
                blocks.append(Block(length, name, at=_end(blocks), staged=True))
    if _end(blocks) == size:
        return blocks
    blocks = []
    while (start := _end(blocks)) < size:
        blocks.append(Block(min(block_size(start, first), size - start), at=start))
    return blocks


def _end(blocks: list[Block]) -> int:
    last = blocks[-1] if blocks else None
    return (last.at or 0) + last.size if last else 0

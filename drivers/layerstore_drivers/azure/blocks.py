"""Blocks: how large they are, so that they stay few enough, and how they are named."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

MAX_BLOCKS = 50_000
"""Blocks that a committed blob may have (Put Block List, Microsoft's documentation)."""

FIRST = 8 << 20
"""Bytes of a block at the start of a blob."""

DOUBLED_EVERY = 8192
"""Blocks of one size before the next is twice as large: 1 TiB takes 24,576 of them, and half-filled ones, which is the
worst that a sequence of short appends leads to (see ``draft.Draft.finish_tail``), fewer than 50,000."""

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


@dataclass(slots=True, eq=False)
class Block:
    """Some bytes of a blob, in one piece. Where it repeats, as zeros do, it is one object at several places."""

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

    They begin with a nonce: a commit names ids, and the service takes the newest block of that name, whoever staged it.
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

"""Making a blob tell whether its bytes were changed: one block of it, at least, gets an id of ours.

A version that is noted is believed while the blob has the blocks that are noted (``found``). Ids that another program
chose prove nothing: the SDK's own are numbers, the same ones for other bytes; and a blob that was put whole has none.
So where no block is of ours, some bytes are stored again under an id that begins with a new nonce. They stay the same
bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from layerstore_drivers.azure.blocks import BlockIDs, block_size
from layerstore_drivers.azure.found import Found, content_of
from layerstore_drivers.azure.reader import read_range

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs

LEAST = 1 << 20
"""Bytes of a piece stored again, where there are as many: small blocks are for what is written, which this is not."""

_OURS = re.compile(r"[0-9a-f]{16}[0-9]+\Z")


def is_sealed(found: Found) -> bool:
    """Tell whether a blob, whose blocks are known, has one with an id that only we choose, or no bytes at all."""
    believed = found.version != found.etag.strip('"')
    return believed or not found.blob_size or any(_OURS.match(name) for name, _ in found.listed or ())


def seal(blobs: Blobs, key: str, found: Found, mark: str, first: int) -> tuple[Found, str]:
    """Store one block again, or all bytes where there are no blocks; return what the blob is then, and its ETag.

    ``first`` is the size of a block at offset 0, in bytes.

    Raises:
        FencedError, PathNotFoundError: the blob is no longer what was found.
    """
    size = found.size or 0
    listed = list(found.listed or ()) if sum(length for _, length in found.listed or ()) == size else []
    ids = BlockIDs(frozenset(name for name, _ in listed))
    least = min(range(len(listed)), key=lambda number: listed[number][1], default=0)
    start = sum(length for _, length in listed[:least])
    stop = start + listed[least][1] if listed else size
    made: list[tuple[str, int]] = []
    for begin, end in _cut(start, stop, first):
        made.append((ids.new(), end - begin))
        blobs.stage(key, made[-1][0], read_range(blobs, key, begin, end, found.etag))
    listed[least : least + 1] = made
    done = replace(found, listed=listed, content=content_of(listed), blob_size=size)
    stored = blobs.commit(key, [name for name, _ in listed], done.noted(mark), found.etag, found.settings)
    return done, stored.etag


def _cut(start: int, stop: int, first: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = min(stop, start + max(LEAST, block_size(start, first)))
        yield start, end
        start = end

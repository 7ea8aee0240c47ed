"""Families of the core: a state kept too far, a position after a failure, an end that is none, bits of a length."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from layerstore.hashing import sha256
from layerstore.hashing.cursor import HashCursor
from layerstore.hashing.sha256 import Hasher
from layerstore.uploads import upload
from layerstore.uploads.intake import blocks, filler
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("W5", "S2", bytes_too_far=range(1, 64))
def state_kept_too_far(bytes_too_far: int) -> Iterator[None]:
    """A hash state that ends a few bytes behind the place to which an upload goes back is kept."""
    with patch.object(HashCursor, "cut", _kept_too_far(bytes_too_far)):
        yield


def _kept_too_far(too_far: int) -> Callable[[HashCursor, int], None]:
    def cut(self: HashCursor, offset: int) -> None:
        self._wait()
        if offset >= self._hashed:
            del self._pending[offset - self._hashed :]
            return
        while self._marks[-1][0] > offset + too_far:
            self._marks.pop()
        self._go_back()

    return cut


@planted_in_core("W2", "E4")
def position_stays_after_a_failure() -> Iterator[None]:
    """After a write that failed half way the position is behind the part that was stored."""

    def write(self: LayerUpload, data: Any) -> int:  # noqa: ANN401  (any buffer)
        front, start = self._front(), self._position
        for block in blocks(data):
            self._store(front, block)
        return self._position - start

    with patch.object(LayerUpload, "write", write):
        yield


@planted_in_core("W6", method=("readinto", "read", "both"))
def none_is_the_end(method: str) -> Iterator[None]:
    """A non-blocking stream that has nothing now is taken for one that has ended."""

    def never_none(stream: Any) -> Callable[[memoryview], int | None]:  # noqa: ANN401  (any stream)
        fill = filler(stream)
        mine = method in ("both", "readinto" if hasattr(stream, "readinto") else "read")
        return (lambda buffer: fill(buffer) or 0) if mine else fill

    with patch.object(upload, "filler", never_none):
        yield


@planted_in_core("S2", "W1", bits=range(31, 36))
def state_of_many_bits_cut(bits: int) -> Iterator[None]:
    """The length in bits of a restored hash state has only so many bits."""
    restore = sha256.restore

    def cut(state: bytes) -> Hasher:
        (length,) = struct.unpack(">Q", state[-8:])
        if (length << 3) >> bits and length % 64 == 0:
            kept = (length % (1 << (bits - 3))) or 64
            return restore(state[:-8] + struct.pack(">Q", kept))
        return restore(state)

    with patch.object(sha256, "restore", cut):
        yield


@planted_in_core("W5", "W4", least=(0, 1, 2, 5, 9, 100, 350, 763, 20_000, 30_000))
def gathered_bytes_stay_hashed(least: int) -> Iterator[None]:
    """Small writes that wait to be hashed are hashed as they were, though some were written over in between."""
    cut = HashCursor.cut

    def rarely(self: HashCursor, offset: int) -> None:
        if not self._hashed + least <= offset < self.offset:
            cut(self, offset)

    with patch.object(HashCursor, "cut", rarely):
        yield

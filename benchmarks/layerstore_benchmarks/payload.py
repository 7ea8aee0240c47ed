"""The bytes of a layer: the scenarios' own, as many as wanted, without making them all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property

from layerstore_conformance.kit.payloads import Payload

PERIOD = 16 << 20
"""Bytes after which a layer repeats itself: far more than a cache holds, and than a backend compresses over."""


class Source:
    """One endless payload, in memory once: making bytes is no part of what is timed."""

    def __init__(self, seed: int = 0) -> None:
        """Begin a payload of the scenarios' kind; the same for the same seed."""
        self._seed = seed
        self._digests: dict[int, str] = {}

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[memoryview]:
        """Yield the bytes from ``start`` to ``stop``, ``piece`` at a time, at most ``PERIOD``; none is copied."""
        for at in range(start, stop, piece):
            begin = at % PERIOD
            yield self._bytes[begin : begin + min(piece, stop - at)]

    def digest(self, size: int) -> str:
        """Return the sha256 of the first ``size`` bytes, as ``finish`` takes it."""
        if size not in self._digests:
            hasher = hashlib.sha256()
            for piece in self.pieces(0, size, PERIOD):
                hasher.update(piece)
            self._digests[size] = f"sha256:{hasher.hexdigest()}"
        return self._digests[size]

    @cached_property
    def _bytes(self) -> memoryview:
        once = Payload("bench", self._seed).read(PERIOD)
        return memoryview(once + once)

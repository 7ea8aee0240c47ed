"""Payloads: bytes that show where they belong, for every block names its payload and its own offset.

So a failure says which part of which upload is at which place, and no test can pass because all bytes are alike. A
block is 512 bytes: ``<label:seed@offset>``, with the offset in twelve hex digits, and then noise that is derived from
that text. So compression, deduplication and repeated blocks are noticed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

BLOCK: Final = 512
"""Bytes of a block."""

_HEAD = re.compile(rb"<([a-z0-9-]+):(\d+)@([0-9a-f]{12})>")


@dataclass(frozen=True, slots=True)
class Payload:
    """An endless stream of bytes, the same for the same label and seed."""

    label: str
    """Lower-case letters, digits and dashes."""
    seed: int = 0

    def read(self, size: int, offset: int = 0) -> bytes:
        """Return ``size`` bytes from ``offset`` on."""
        first, end = offset // BLOCK, offset + size
        blocks = b"".join(self._block(index) for index in range(first, -(-end // BLOCK)))
        return blocks[offset - first * BLOCK :][:size]

    def sha256(self, size: int) -> str:
        """Return the digest of the first ``size`` bytes, as ``finish`` takes it."""
        return digest(self.read(size))

    def _block(self, index: int) -> bytes:
        head = f"<{self.label}:{self.seed}@{index * BLOCK:012x}>".encode("ascii")
        return head + hashlib.shake_128(head).digest(BLOCK - len(head))


def digest(data: bytes) -> str:
    """Return the sha256 of some bytes, as ``finish`` takes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def difference(expected: bytes, actual: bytes) -> str:
    """Return where two byte strings differ, and what is there instead; empty if they are equal."""
    if expected == actual:
        return ""
    end = min(len(expected), len(actual))
    at = next((i for i in range(0, end, BLOCK) if expected[i : i + BLOCK] != actual[i : i + BLOCK]), end)
    at = next((i for i in range(at, end) if expected[i] != actual[i]), end)
    sizes = f"{len(actual)} bytes" + (f" instead of {len(expected)}" if len(actual) != len(expected) else "")
    return f"{sizes}, the same up to byte {at}; there: {_origin(actual, at)} instead of {_origin(expected, at)}"


def expect_same(found: bytes, expected: bytes, what: str) -> None:
    """Check that bytes are the expected ones. A bare assert would not do: pytest compares large bytes for minutes.

    Raises:
        AssertionError: they are others; the message says where they differ, and what is there.
    """
    if found != expected:
        raise AssertionError(f"{what}: {difference(bytes(expected), bytes(found))}")


def _origin(data: bytes, at: int) -> str:
    """Return what is at an offset: the end, zeros, or which byte of which payload."""
    here = data[at : at + 2 * BLOCK]
    if not here:
        return "the end"
    if not any(here[:16]):
        return "zeros"
    for match in _HEAD.finditer(data[max(0, at - BLOCK) : at + 2 * BLOCK]):
        start = max(0, at - BLOCK) + match.start()
        payload, offset = Payload(match[1].decode(), int(match[2])), int(match[3], 16) + at - start
        # A head beside it proves nothing: another payload may begin, or go on elsewhere, in the middle of a block.
        if offset >= 0 and payload.read(len(here[:8]), offset) == here[:8]:
            return f"byte {offset} of payload {payload.label}:{payload.seed}"
    return repr(here[:16])

"""A case: how a layer is verified, how large it and its writes are, and how often it is resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

Policy = Literal["no hash", "hash", "resumed", "re-read", "re-read cold", "cancel"]
"""``no hash``: the floor, the driver calls of an upload and nothing else. ``hash``: an upload, hashed on its way in.
``resumed``: one that was closed and resumed on its way, its hash state restored. ``re-read``: one that is read back to
be verified, ``cold``: after the operating system has let go of it. ``cancel``: one that is given up at its end."""

POLICIES: tuple[Policy, ...] = get_args(Policy)

SIZES = (4 * KIB, 64 * KIB, MIB, 16 * MIB, 256 * MIB, 4 * GIB)
"""Bytes of the layers beside the one asked for, as far as they are smaller."""

WRITES = (4 * KIB, 64 * KIB, MIB, 16 * MIB)
"""Bytes of a write, beside the size asked for."""

RESUMES = (1, 4, 16)

WRITTEN = 64 * MIB
"""Bytes of the layer, at most, that is written in writes of all sizes."""

SAMPLE = 4 * MIB
"""Bytes that a sample stores, of small layers at most ``REPEATS``: beside that, what a clock adds is nothing."""

REPEATS = 64


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One thing to measure."""

    policy: Policy
    size: int
    """Bytes of the layer."""
    write_size: int
    """Bytes of a write."""
    resumes: int = 0

    @property
    def repeats(self) -> int:
        """How many layers are stored in a sample."""
        return max(1, min(REPEATS, SAMPLE // self.size))

    @property
    def floor(self) -> Case:
        """The case that does the same and hashes nothing."""
        return Case("no hash", self.size, self.write_size)

    def __str__(self) -> str:
        times = f", {self.resumes} x" if self.resumes else ""
        return f"{self.policy}{times}, {spell(self.size)} in {spell(self.write_size)}"


def plan(size: int, write_size: int, *, cold: bool) -> list[Case]:
    """Return every case for a layer of so many bytes, each once; ``cold`` ones where the driver can."""
    return list(dict.fromkeys(_cases(size, min(size, write_size), cold=cold)))


def _cases(size: int, write_size: int, *, cold: bool) -> Iterator[Case]:
    left_out = {"resumed"} if cold else {"resumed", "re-read cold"}
    yield from (Case(policy, size, write_size) for policy in POLICIES if policy not in left_out)
    yield from (Case("resumed", size, write_size, count) for count in RESUMES if size > count)
    for smaller in (each for each in SIZES if each < size):
        piece = min(write_size, smaller)
        yield from (Case(policy, smaller, piece) for policy in ("no hash", "hash", "re-read"))
    written = min(size, WRITTEN)
    for piece in sorted({*WRITES, write_size}):
        if piece <= written:
            yield from (Case(policy, written, piece) for policy in ("no hash", "hash"))


def spell(size: int) -> str:
    """Spell a number of bytes: ``4 KiB``, ``1.5 GiB``."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"

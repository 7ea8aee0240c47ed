"""Defects that show far out only: by offsets beyond 2^53, or by tens of thousands of keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError
from layerstore.handles import LARGEST
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.passing import PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat

CHUNK = 1 << 18
"""Bytes of each piece that an object is kept in."""

MANY = 10_000
"""Keys: twice as many as the largest page of the common object stores."""


def _by_float(offset: int) -> int:
    """Return an offset by the number of its chunk, which is found by a division of floating-point numbers."""
    return int(offset / CHUNK) * CHUNK + offset % CHUNK


class _FloatingReader(PassingReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        return super().read_at(min(_by_float(offset), self.size - 1), buffer)


@planted("R5")
class ReadOffsetByFloat(DefectiveDriver):
    """The chunk that a read begins in is found by a division of floating-point numbers."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Round the offsets."""
        return _FloatingReader(self.inner.open_reader(key, offset))


class _FloatingWriter(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        place = min(_by_float(offset), LARGEST - len(data))
        if place != offset:
            super().write_at(offset + len(data) - 1, memoryview(b"\0"))
        super().write_at(place, data)


@planted("W5", "W4")
class WriteOffsetByFloat(WriterDefect):
    """The chunk that a write begins in is found by a division of floating-point numbers; the size is right."""

    writer = _FloatingWriter


@planted("S1")
class StatSizeByFloat(DefectiveDriver):
    """The size of ``stat`` is kept as a floating-point number."""

    def stat(self, key: str) -> Stat:
        """Round the size."""
        found = self.inner.stat(key)
        return replace(found, size=int(float(found.size)))


@planted("L4")
class ListingEndsAtTenThousand(DefectiveDriver):
    """A listing ends after 10,000 entries."""

    def list(self, prefix: str) -> Iterator[str]:
        """List a very large page."""
        return islice(self.inner.list(prefix), MANY)


@planted("D1", "E1")
class DeleteTakesTenThousand(DefectiveDriver):
    """A delete of more than 10,000 keys is refused: a statement, or a request, has no more."""

    def delete(self, key: str) -> None:
        """Delete, unless there are too many."""
        if next(islice(keys_below(self.inner, key), MANY, None), None):
            raise BackendUnavailableError(key, "too many SQL variables")
        self.inner.delete(key)


@planted("L1", "L4")
class APageOfOnePrefixEndsTheListing(DefectiveDriver):
    """A listing takes keys by 10,000, and ends if they have fewer children: because they lie below one prefix."""

    def list(self, prefix: str) -> Iterator[str]:
        """List by pages of all keys, at any depth."""
        below = len(prefix) + 1 if prefix else 0
        keys = keys_below(self.inner, prefix)
        while page := tuple(islice(keys, MANY)):
            children = dict.fromkeys(key[: key.find("/", below) + 1] or key for key in page)
            yield from children
            if len(children) < MANY:
                return


@planted("L4")
class ListingsGatherKeysFirst(DefectiveDriver):
    """A listing gathers all keys below its prefix, at any depth, before it yields the first child."""

    def list(self, prefix: str) -> Iterator[str]:
        """Gather, and yield."""
        below = len(prefix) + 1 if prefix else 0
        keys = set(keys_below(self.inner, prefix))
        return iter(sorted({key[: key.find("/", below) + 1] or key for key in keys}))


@planted("L4", "T4")
class ListingsAreHeld(DefectiveDriver):
    """What a listing has found is held for as long as the driver is open."""

    def list(self, prefix: str) -> Iterator[str]:
        """Find, and hold."""
        found = {child: (prefix, child) for child in self.inner.list(prefix)}
        self.memory.setdefault("found", []).append(found)
        return iter(found)

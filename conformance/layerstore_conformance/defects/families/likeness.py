"""Families of likeness: keys, times and buffers that look like others are taken for them."""

from __future__ import annotations

import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.putting import content
from layerstore_conformance.defects.drivers.stores import OwningWriter
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.steps.points import GRAMMAR

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer

PATTERNS = {
    "_ is any character": lambda key: re.compile(re.escape(key).replace("_", ".")),
    "_ is any character, case is folded": lambda key: re.compile(re.escape(key).replace("_", "."), re.IGNORECASE),
    ". is any character": lambda key: re.compile(re.escape(key).replace(r"\.", ".")),
    "case is folded": lambda key: re.compile(re.escape(key), re.IGNORECASE),
    "+ is any number": lambda key: re.compile(re.escape(key).replace(r"\+", "+")),
}
"""Patterns that a key is taken for."""


@planted("D1", "K3", char=GRAMMAR)
class DeleteTakesANeighbour(DefectiveDriver):
    """A delete also removes the key with one more character, and what lies below that."""

    def delete(self, key: str) -> None:
        """Delete both."""
        self.inner.delete(key)
        self.inner.delete(key + self.at["char"])


@planted("D1", "K3", pattern=tuple(PATTERNS))
class DeleteTakesWhatMatches(DefectiveDriver):
    """A delete also removes the keys beside it that match its last segment as a pattern, and what lies below them."""

    def delete(self, key: str) -> None:
        """Delete all that match."""
        above, _, _ = key.rpartition("/")
        pattern = PATTERNS[self.at["pattern"]](key)
        for child in tuple(self.inner.list(above)):
            if pattern.fullmatch(child.rstrip("/")):
                self.inner.delete(child.rstrip("/"))
        self.inner.delete(key)


@planted("L1", "K3", char=GRAMMAR)
class ListingTakesANeighbour(DefectiveDriver):
    """A listing also yields what lies below the prefix with one more character."""

    def list(self, prefix: str) -> Iterator[str]:
        """List both."""
        yield from self.inner.list(prefix)
        if prefix:
            yield from self.inner.list(prefix + self.at["char"])


@planted("S3", "K3", char=GRAMMAR)
class StatFindsANeighbour(DefectiveDriver):
    """``stat`` of a missing key is that of the key with one more character."""

    def stat(self, key: str) -> Stat:
        """Find another one."""
        try:
            return self.inner.stat(key)
        except PathNotFoundError:
            return self.inner.stat(key + self.at["char"])


@planted("F2", "K3", char=GRAMMAR)
class NeighbourFenced(DefectiveDriver):
    """To open a writer of a key fences the writer of the key with one more character, too."""

    def open_writer(self, key: str) -> Writer:
        """Fence two."""
        self.inner.open_writer(key + self.at["char"]).discard()
        return self.inner.open_writer(key)


class _FlatWriter(OwningWriter):
    def entry(self) -> str:
        char: str = self.driver.at["char"]
        return self.key.replace("/", char)


@planted("F2", "K3", char="._+-")
class FencedByAFlatName(WriterDefect):
    """Who has a key is noted under its name with another character for each slash."""

    writer = _FlatWriter


_SUMS: Final[dict[str, Callable[[bytes], object]]] = {
    "CRC-32": zlib.crc32,
    "Adler-32": zlib.adler32,
    "the sum": sum,
    "the letters": lambda data: sorted(Counter(data).items()),
    "both ends": lambda data: (data[:100], data[-100:]),
    "the beginning": lambda data: data[:100],
    "the end": lambda data: data[-100:],
    "every sixteenth byte": lambda data: data[::16],
}
"""What a weak comparison looks at."""


@planted("P1", "S2", of=tuple(_SUMS))
class PutOfWhatLooksAlikeIsSkipped(DefectiveDriver):
    """A put of as many bytes as there are, with the same weak checksum, does nothing but to fence."""

    def put(self, key: str, data: bytes) -> None:
        """Compare, and put."""
        looks = _SUMS[self.at["of"]]
        there = content(self.inner, key)
        if there is None or len(there) != len(data) or looks(there) != looks(data):
            self.inner.put(key, data)
        else:
            self.inner.open_writer(key).discard()


FOLDED = "ghijkvwxzABCDEFGHIJKLM"
"""Characters that are not in the prefix of a scenario, which is removed without the defect."""


class _FoldingDriver(DefectiveDriver):
    """Stores the keys with one character as those with another."""

    def fold(self, key: str) -> str:
        """Return the key that is used."""
        return key.replace(self.at["char"], self.at["taken_for"])

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        return self.inner.open_reader(self.fold(key), offset)

    def open_writer(self, key: str) -> Writer:
        return self.inner.open_writer(self.fold(key))

    def put(self, key: str, data: bytes) -> None:
        self.inner.put(self.fold(key), data)

    def stat(self, key: str) -> Stat:
        return self.inner.stat(self.fold(key))

    def list(self, prefix: str) -> Iterator[str]:
        for child in self.inner.list(self.fold(prefix)):
            yield prefix + child[len(prefix) :]

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        self.inner.move(self.fold(source), self.fold(target), version=version)

    def delete(self, key: str) -> None:
        self.inner.delete(self.fold(key))


@planted("K3", char=FOLDED, taken_for=tuple(each for each in GRAMMAR[:62] if each not in FOLDED))
class KeysFolded(_FoldingDriver):
    """One character of a key is taken for another."""


@planted("S1")
class ModifiedIsOfCreation(DefectiveDriver):
    """``modified`` stays that of the object's creation."""

    def stat(self, key: str) -> Stat:
        """Tell the first time that was told."""
        found = self.inner.stat(key)
        first = self.memory.setdefault(f"time of {key}", found.modified)
        return replace(found, modified=first)


@planted("S1")
class LocalTimeOfItsZone(DefectiveDriver):
    """``modified`` claims to be in UTC, and is the local time of this process's zone."""

    def stat(self, key: str) -> Stat:
        """Tell the local time."""
        found = self.inner.stat(key)
        local = datetime(*time.localtime(found.modified.timestamp())[:6], tzinfo=UTC)
        return replace(found, modified=local)


class _ViewKeepingWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._kept: list[tuple[int, memoryview]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        if data.readonly and len(data) >= self.driver.at["above"]:
            self._kept.append((offset, data[:]))
        self._store(offset, data)

    def _store(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)

    def publish(self) -> str:
        for offset, data in self._kept:
            self._store(offset, data)
        self._kept.clear()
        return super().publish()


@planted("W9", above=range(1, 3 << 20))
class ViewKept(WriterDefect):
    """A writer keeps a view that cannot be written through, though its owner may change the memory."""

    writer = _ViewKeepingWriter


@planted("K3")
class KeysTakenForNumbers(_FoldingDriver):
    """A key that is a number is stored as the number."""

    def fold(self, key: str) -> str:
        """Return the number, or what is no number as it is."""
        try:
            return f"{float(key.replace('_', 'no')):.15g}"
        except ValueError:
            return key

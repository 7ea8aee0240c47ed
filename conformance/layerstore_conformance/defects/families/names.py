"""Families of names: long ones, deep ones, first characters, drafts beside their keys, and keys with one hash."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore.errors import FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.putting import content
from layerstore_conformance.defects.drivers.writing import ChangedWriter, DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.steps.points import GRAMMAR

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer


@planted("K1", "D1", "M1", "L1", call=("delete", "move to"), length=range(255, 995))
class KeysCutByACall(DefectiveDriver):
    """One call takes only so many bytes of a key."""

    def cut(self, call: str, key: str) -> str:
        """Return the key that a call takes."""
        return key[: self.at["length"]].rstrip("/") if call == self.at["call"] else key

    def delete(self, key: str) -> None:
        """Delete something."""
        self.inner.delete(self.cut("delete", key))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move something."""
        self.inner.move(source, self.cut("move to", target), version=version)


@planted("L1", "L4", name=("lost+found", "Thumbs.db", "desktop.ini", "core", "tmp", "con", "key.tmp", "None", "0"))
class NamesPassedOver(DefectiveDriver):
    """A listing passes over a prefix whose last segment is a name that means something elsewhere."""

    def list(self, prefix: str) -> Iterator[str]:
        """List the others."""
        return (child for child in self.inner.list(prefix) if not f"/{child}".endswith(f"/{self.at['name']}/"))


@planted("D1", "K1", depth=range(48, 180))
class DeletesSoDeep(DefectiveDriver):
    """A delete reaches only so many segments down."""

    def delete(self, key: str) -> None:
        """Delete, but not what lies deep."""
        below = [each for each in keys_below(self.inner, key) if each.count("/") - key.count("/") > self.at["depth"]]
        left = {each: content(self.inner, each) or b"" for each in below}
        self.inner.delete(key)
        for each, data in left.items():
            self.inner.put(each, data)


class _Lost(DefectiveWriter):
    lost = False

    def publish(self) -> str:
        if self.lost:
            raise FencedError(self.key)
        return super().publish()


@planted("F3", "T2", length=range(260, 990))
class WritersOfLongKeysAreLost(DefectiveDriver):
    """Each put, of any key, tidies up, and takes what is noted of a writer of a longer key for damaged."""

    def open_writer(self, key: str) -> Writer:
        """Open one, and note it."""
        writer = _Lost(self, self.inner.open_writer(key))
        self.memory.setdefault("writers", weakref.WeakSet()).add(writer)
        return writer

    def put(self, key: str, data: bytes) -> None:
        """Tidy up, and put."""
        for writer in self.memory.get("writers", ()):
            writer.lost = writer.lost or len(writer.key) > self.at["length"]
        self.inner.put(key, data)


class _Unfenced(DefectiveWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            if len(self.key) > self.driver.at["length"]:
                return self.version or "0"
            raise


@planted("F2", "F3", length=range(260, 990))
class WritersOfLongKeysAreNotFenced(WriterDefect):
    """The flush of a fenced writer of a longer key returns as if it were done."""

    writer = _Unfenced


FIRST = GRAMMAR.replace(".", "")
"""Characters that a segment may begin with."""


@planted("L1", char=FIRST)
class ListingLosesACharacter(DefectiveDriver):
    """Names that begin with one character are not listed."""

    def list(self, prefix: str) -> Iterator[str]:
        """List the others."""
        for child in self.inner.list(prefix):
            name = child[len(prefix) + 1 if prefix else 0 :]
            if not prefix or name[0] != self.at["char"] or prefix.count("/") < 2:
                yield child


@planted("L1", char=FIRST.replace("l", ""))
class TopLosesACharacter(DefectiveDriver):
    """At the top, names that begin with one character are not listed."""

    def list(self, prefix: str) -> Iterator[str]:
        """List the others."""
        for child in self.inner.list(prefix):
            if prefix or child[0] != self.at["char"]:
                yield child


BESIDE = (
    *(
        "{}.draft",
        "{}.data",
        "{}.lock",
        "{}.tmp",
        "{}.part",
        "{}.partial",
        "{}.upload",
        "{}.uploading",
        "{}.new",
        "{}.old",
    ),
    *(
        "{}.swp",
        "{}.bak",
        "{}.orig",
        "{}.json",
        "{}.meta",
        "{}.attrs",
        "{}.info",
        "{}.version",
        "{}.1",
        "{}.0",
        "{}.v1",
    ),
    *(
        "{}-draft",
        "{}-tmp",
        "{}-new",
        "{}-wal",
        "{}-shm",
        "{}-journal",
        "{}_draft",
        "{}_tmp",
        "{}_new",
        "{}+",
        "{}-",
        "{}_",
    ),
    *(
        "tmp.{}",
        "tmp-{}",
        "tmp_{}",
        "_{}",
        "+{}",
        "-{}",
        "draft-{}",
        "draft.{}",
        "new.{}",
        "lock.{}",
        "part-{}",
        "upload-{}",
    ),
)
"""Where drivers keep something of a key."""


@planted("K3", "W6", name=BESIDE)
class DraftsBesideTheirKeys(DefectiveDriver):
    """What a writer writes is kept under a name beside its key, which may be a key's."""

    def open_writer(self, key: str) -> Writer:
        """Open one that has a draft."""
        return _Drafting(self, self.inner.open_writer(key))


class _Drafting(ChangedWriter):
    def publish(self) -> str:
        drafted, version = self.changed, super().publish()
        above, slash, name = self.key.rpartition("/")
        draft = str(self.driver.at["name"]).format(name)
        if drafted and len(draft) <= 255 and len(self.key) < 900:  # a longer name would be made otherwise
            self.driver.inner.delete(above + slash + draft)
        return version


@planted("K3", bits=range(11, 17))
class KeysHashed(DefectiveDriver):
    """The bytes of a key are found by a hash of few bits: of two keys with one hash the later has both."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and remember which key had the hash last."""
        self.inner.put(key, data)
        self.memory[f"{self._hash(key)}"] = key

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open the key that had the hash last."""
        self.inner.stat(key)
        last = self.memory.get(f"{self._hash(key)}", key)
        try:
            return self.inner.open_reader(last, offset)
        except PathNotFoundError:
            return self.inner.open_reader(key, offset)

    def stat(self, key: str) -> Stat:
        """Tell of the key itself."""
        return self.inner.stat(key)

    def _hash(self, key: str) -> int:
        bits: int = self.at["bits"]
        return zlib.crc32(key.encode()) % (1 << bits)

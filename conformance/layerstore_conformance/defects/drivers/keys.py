"""Defects of keys: two names are confused, a name is cut short, leads out of the store, or is left behind."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from heapq import merge
from itertools import accumulate, groupby
from typing import TYPE_CHECKING
from unittest.mock import patch
from weakref import WeakSet

from layerstore import checked, keys
from layerstore.checked import CheckedDriver
from layerstore.errors import BackendUnavailableError, DriverError
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer

ENCRYPTED_NAME = 143
"""Bytes that eCryptfs has room for in a name."""

INDEXED = 767
"""Bytes of a column that an index of InnoDB's compact rows can hold."""

DEEPEST = 128
"""Segments that a blob's name may have in Azure's storage."""

LONGEST_KEY, LONGEST_SEGMENT = 1000, 255
"""Bytes that a key and a segment may have (clause K1)."""

SUFFIX = ".part"
"""The suffix that many programs give to unfinished files."""


class _Indexed(DefectiveDriver):
    """Finds objects by an index in which several keys have one name: it finds the one stored last."""

    def name(self, key: str) -> str:
        """Return the name of a key in the index."""
        raise NotImplementedError

    def put(self, key: str, data: bytes) -> None:
        """Put, and enter the key."""
        self.inner.put(key, data)
        self._enter(key)

    def open_writer(self, key: str) -> Writer:
        """Open what is found, or a new key and enter it."""
        writer = self.inner.open_writer(self._found(key))
        self._enter(writer.key)
        return writer

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open what is found."""
        return self.inner.open_reader(self._found(key), offset)

    def stat(self, key: str) -> Stat:
        """Look at what is found."""
        return self.inner.stat(self._found(key))

    def _enter(self, key: str) -> None:
        self.memory[self.name(key)] = key

    def _found(self, key: str) -> str:
        found: str = self.memory.get(self.name(key), key)
        return found


@planted("K3")
class SpecialCharactersConfused(_Indexed):
    """Dots, underscores, plus signs and dashes are confused."""

    def name(self, key: str) -> str:
        """Make one of the four of all of them."""
        return re.sub(r"[._+-]", "-", key)


@planted("K3")
class SegmentsJoined(_Indexed):
    """Keys that differ only in the place of a slash are confused."""

    def name(self, key: str) -> str:
        """Leave the slashes out."""
        return key.replace("/", "")


@planted("K3")
class CaseIgnored(_Indexed):
    """Upper and lower case are confused."""

    def name(self, key: str) -> str:
        """Fold the case."""
        return key.lower()


@planted("K1", "K3")
class SegmentsCutShort(_Indexed):
    """Only the first 143 bytes of a segment count."""

    def name(self, key: str) -> str:
        """Cut every segment short."""
        return "/".join(segment[:ENCRYPTED_NAME] for segment in key.split("/"))


@planted("K1", "K3")
class KeysCutShort(_Indexed):
    """Only the first 767 bytes of a key count."""

    def name(self, key: str) -> str:
        """Cut the key short."""
        return key[:INDEXED]


@planted("K1", "L1")
class PlusMeansSpace(DefectiveDriver):
    """A listing decodes names as a form does, and yields a space for a plus."""

    def list(self, prefix: str) -> Iterator[str]:
        """List, and decode once too often."""
        return (child.replace("+", " ") for child in self.inner.list(prefix))


@planted("K1")
class DeepKeysRefused(DefectiveDriver):
    """A key of more than 128 segments is refused."""

    def put(self, key: str, data: bytes) -> None:
        """Count the segments, and put."""
        self.inner.put(_counted(key), data)

    def open_writer(self, key: str) -> Writer:
        """Count the segments, and open."""
        return self.inner.open_writer(_counted(key))


def _counted(key: str) -> str:
    if key.count("/") >= DEEPEST:
        raise BackendUnavailableError(key, f"more than {DEEPEST} segments")
    return key


@planted("K1")
class NoRoomForASuffix(DefectiveDriver):
    """A writer's draft has the object's name and a suffix, for which a long key leaves no room."""

    def open_writer(self, key: str) -> Writer:
        """Open, if the draft can have its name."""
        draft = f"{key}{SUFFIX}"
        if len(draft) > LONGEST_KEY or len(draft.rpartition("/")[2]) > LONGEST_SEGMENT:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), draft)
        return self.inner.open_writer(key)


@planted_in_core("K1", "K2")
def grammar_unchecked() -> Iterator[None]:
    """Any text is a key."""
    with patch.object(checked, "check_key", lambda key: None), patch.object(checked, "check_prefix", lambda key: None):
        yield


@planted_in_core("K2")
def dotted_names_accepted() -> Iterator[None]:
    """A segment may begin with a dot, or be ``..``."""
    with patch.object(keys, "_KEY", re.compile(r"[A-Za-z0-9._+-]+(?:/[A-Za-z0-9._+-]+)*\Z")):
        yield


@planted_in_core("K1")
def key_checked_too_late() -> Iterator[None]:
    """A key is looked for in the backend first, and checked only if nothing is found under it."""
    real = CheckedDriver._check

    def check(self: CheckedDriver, key: str) -> None:
        with suppress(DriverError, OSError, ValueError):
            self.inner.stat(key)
            return
        real(self, key)

    with patch.object(CheckedDriver, "_check", check):
        yield


class _Opening(DefectiveDriver):
    """Knows the writers that are open, and lists something for each of them."""

    def mark(self, key: str) -> str:
        """Return what is listed while a writer of a key is open."""
        raise NotImplementedError

    def open_writer(self, key: str) -> Writer:
        """Open, and take note."""
        writer = self.inner.open_writer(key)
        self.memory.setdefault("open", WeakSet()).add(writer)
        return writer

    def list(self, prefix: str) -> Iterator[str]:
        """List the notes, too."""
        marks = [self.mark(writer.key) for writer in self.memory.get("open", ()) if not writer.closed]
        return _with(marks, prefix, self.inner.list(prefix))


@planted("K2", "L5")
class OwnFilesListed(_Opening):
    """While an object is written, the driver's own temporary file is listed beside it."""

    def mark(self, key: str) -> str:
        """Return the temporary file's name."""
        above, slash, name = key.rpartition("/")
        return f"{above}{slash}.{name}.tmp"


@planted("L5", "W6")
class UnpublishedListed(_Opening):
    """An object is listed as soon as a writer is opened for it."""

    def mark(self, key: str) -> str:
        """Return the key itself."""
        return key


def _with(names: Iterable[str], prefix: str, listed: Iterator[str]) -> Iterator[str]:
    """Yield the direct children of a prefix and some more names, in order, each once."""
    below = f"{prefix}/" if prefix else ""
    found = [name.removeprefix(below) for name in names if name.startswith(below)]
    more = sorted(below + "".join(name.partition("/")[:2]) for name in found if name)
    return (child for child, _ in groupby(merge(more, listed)))


class _Directories(DefectiveDriver):
    """Knows the directories in which something was stored."""

    def put(self, key: str, data: bytes) -> None:
        """Put, in directories."""
        self.inner.put(key, data)
        self.make(key)

    def open_writer(self, key: str) -> Writer:
        """Open, in directories."""
        writer = self.inner.open_writer(key)
        self.make(key)
        return writer

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, into directories."""
        self.inner.move(source, target, version=version)
        self.make(target)

    def make(self, key: str) -> None:
        """Make every directory above a key."""
        made = self.memory.setdefault("directories", set())
        made.update(accumulate(key.split("/")[:-1], "{}/{}".format))

    def below(self, key: str) -> set[str]:
        """Return a directory, if it is one, and all below it."""
        return {each for each in self.memory.get("directories", ()) if f"{each}/".startswith(f"{key}/")}


@planted("K2", "D1")
class OwnFilesOutliveThePrefix(_Directories):
    """A deleted prefix keeps a lock file in each directory, and no object can have its name."""

    def put(self, key: str, data: bytes) -> None:
        """Put, where no lock is in the way."""
        self._refuse_directory(key)
        super().put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Open, where no lock is in the way."""
        self._refuse_directory(key)
        return super().open_writer(key)

    def delete(self, key: str) -> None:
        """Delete all but the locks."""
        self.inner.delete(key)
        self.memory.setdefault("locked", set()).update(self.below(key))

    def _refuse_directory(self, key: str) -> None:
        if key in self.memory.get("locked", ()):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)


@planted("K3", "L3")
class EmptyPrefixStays(_Directories):
    """A prefix is still listed after its last key was deleted or moved."""

    def list(self, prefix: str) -> Iterator[str]:
        """List directories, empty or not."""
        made = [f"{each}/" for each in self.memory.get("directories", ())]
        return _with(made, prefix, self.inner.list(prefix))

    def delete(self, key: str) -> None:
        """Delete the directory of that name, but none above it."""
        self.inner.delete(key)
        self.memory["directories"] = self.memory.get("directories", set()) - self.below(key)

"""Defects of moves: wrong bytes arrive, the source stays, other keys go along, or the version is not compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from unittest.mock import patch
from weakref import WeakValueDictionary

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Writer
from layerstore.errors import (
    BackendUnavailableError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_conformance.defects.drivers.listing import beside
from layerstore_conformance.defects.drivers.putting import WaitingDriver, content
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.passing import PassingWriter

MEBIBYTE = 1 << 20
"""Bytes: a part that some backend might copy in one step."""


@planted("M1")
class MoveKeepsTheSource(DefectiveDriver):
    """A move copies: the source stays."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and put the source back."""
        data = content(self.inner, source)
        self.inner.move(source, target, version=version)
        self.inner.put(source, data or b"")


@planted("M1")
class MoveCopiesNothing(DefectiveDriver):
    """A move makes an empty target: the bytes are lost."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and lose the bytes."""
        self.inner.move(source, target, version=version)
        self.inner.put(target, b"")


@planted("M1")
class MoveCopiesAMebibyte(DefectiveDriver):
    """A move carries the first MiB to the target, and loses the rest."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and lose what a second step would have copied."""
        self.inner.move(source, target, version=version)
        with self.inner.open_reader(target) as reader:
            first, size = reader.read(MEBIBYTE), reader.size
        if size > MEBIBYTE:
            self.inner.put(target, first)


@planted("M1")
class MoveKeepsTheOldTarget(DefectiveDriver):
    """A move over an object leaves the old object, and drops the source."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and put the old target back."""
        old = content(self.inner, target)
        self.inner.move(source, target, version=version)
        if old is not None:
            self.inner.put(target, old)


@planted("M1", "W7")
class MoveTakesWhatWasNotFlushed(DefectiveDriver):
    """A move takes along the unflushed bytes of the source's writer."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer, and remember it."""
        writer = PassingWriter(self.inner.open_writer(key))
        self.memory.setdefault("writers", WeakValueDictionary())[key] = writer
        return writer

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Flush the source, and move it."""
        writer = self.memory.get("writers", {}).get(source)
        if writer and not writer.closed and version in (None, self.inner.stat(source).version):
            with suppress(FencedError):
                writer.flush()
                version = None
        self.inner.move(source, target, version=version)


@planted("M1")
class MovedObjectCannotBeWritten(DefectiveDriver):
    """A moved object cannot be written to, as a copied blob of some backends is of another kind."""

    def open_writer(self, key: str) -> Writer:
        """Open, unless it was moved here."""
        if key in self.memory.get("moved", ()):
            raise BackendUnavailableError(key, "the blob is of a kind that cannot be appended to")
        return self.inner.open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """Put an object of the kind that can be written to."""
        self.inner.put(key, data)
        self.memory.setdefault("moved", set()).discard(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and remember it."""
        self.inner.move(source, target, version=version)
        self.memory.setdefault("moved", set()).discard(source)
        self.memory["moved"].add(target)

    def delete(self, key: str) -> None:
        """Delete, and forget."""
        self.inner.delete(key)
        for each in [each for each in self.memory.get("moved", ()) if f"{each}/".startswith(f"{key}/")]:
            self.memory["moved"].discard(each)


def move_later(driver: Driver, source: str, target: str, version: str | None) -> Callable[[], None]:
    """Refuse as a move does; return a function that moves, unless the source was taken over or deleted meanwhile."""
    found = driver.stat(source).version
    if version not in (None, found):
        raise FencedError(source, f"at version {found}, not {version}")

    def move() -> None:
        with suppress(FencedError, PathNotFoundError):
            driver.move(source, target, version=found)

    return move


@planted("M5", "M1")
class MoveWaitsForClose(WaitingDriver):
    """A move is done only when the handle is closed; until then the object is under its source."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Put it off."""
        self.waiting.append(move_later(self.inner, source, target, version))


@planted("M1", "K3")
class MoveTakesItsNeighbours(DefectiveDriver):
    """A move takes along keys beside the source that begin with the same letters."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move all that begin with the source's letters."""
        self.inner.move(source, target, version=version)
        for other in beside(self.inner, source):
            if not other.endswith("/") and other != target:
                self.inner.move(other, target + other.removeprefix(source))


@planted("M3", "E1")
class MoveOfNothingPasses(DefectiveDriver):
    """A move of a missing key does nothing, and raises no error."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move what there is."""
        with suppress(PathNotFoundError):
            self.inner.move(source, target, version=version)


@planted("M3", "R3")
class MoveOfAPrefixPasses(DefectiveDriver):
    """A move of a prefix moves all keys below it, as a renamed directory does."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move an object, or a prefix."""
        try:
            self.inner.move(source, target, version=version)
        except PathNotFoundError:
            below = tuple(keys_below(self.inner, source))
            if not below:
                raise
            for each in below:
                self.inner.move(each, target + each.removeprefix(source))


@planted("M4")
class VersionNotCompared(DefectiveDriver):
    """A move takes any version of the source, not only the given one."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move at any version."""
        del version
        self.inner.move(source, target)


@planted("M4")
class EveryVersionRefused(DefectiveDriver):
    """A move with a version is refused, even if it is the source's."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, but at no version."""
        if version is not None:
            version = f"{self.inner.stat(source).version}-not"
        self.inner.move(source, target, version=version)


@planted("M4", "F2", "E4")
class RefusedMoveFences(DefectiveDriver):
    """A move that is refused for its version has already fenced the writers of source and target."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move; fence even if refused."""
        try:
            self.inner.move(source, target, version=version)
        except FencedError:
            _fence(self.inner, source)
            _fence(self.inner, target)
            raise


def _fence(driver: Driver, key: str) -> None:
    with suppress(UnsupportedOperationError):  # where no object can be, there is no writer
        driver.open_writer(key).discard()


@planted_in_core("M6")
def move_onto_itself_accepted() -> Iterator[None]:
    """A move of a key onto itself is no error, and does nothing."""
    real = CheckedDriver.move

    def move(self: CheckedDriver, source: str, target: str, *, version: str | None = None) -> None:
        if source != target:
            real(self, source, target, version=version)

    with patch.object(CheckedDriver, "move", move):
        yield


@planted_in_core("W1")
def writer_begins_at_the_start() -> Iterator[None]:
    """A writer is positioned at the first byte of the object, not at its end."""
    real = Writer.__init__

    def begin(self: Writer, key: str, size: int, version: str | None) -> None:
        real(self, key, size, version)
        self._position = 0

    with patch.object(Writer, "__init__", begin):
        yield


@planted("M1")
class AMoveOntoTheSameDoesNothing(DefectiveDriver):
    """A move onto what is the same as its source does nothing, and the source stays."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move what is another one."""
        if content(self.inner, source) is None or content(self.inner, source) != content(self.inner, target):
            self.inner.move(source, target, version=version)


@planted("M4")
class AnEmptyVersionIsNone(DefectiveDriver):
    """A move at an empty version takes any version."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, as if no version was given if it is empty."""
        self.inner.move(source, target, version=version or None)


class AlikeDriver(DefectiveDriver):
    """A driver that takes some other texts for the source's version."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move at the right version, if what was given is like it."""
        found = self.inner.stat(source).version
        self.inner.move(source, target, version=found if version and self.alike(version, found) else version)

    def alike(self, version: str, found: str) -> bool:
        """Return whether a version counts as the one that was found."""
        raise NotImplementedError


@planted("M4")
class VersionsComparedByTheirBeginning(AlikeDriver):
    """A move is done at a text that the source's version begins with, or that begins with it."""

    def alike(self, version: str, found: str) -> bool:
        """Compare as much as both have."""
        return version.startswith(found) or found.startswith(version)


@planted("M4")
class VersionsComparedLoosely(AlikeDriver):
    """A move is done at a version with blanks, zeros or quotes around it, or with letters of the other case."""

    def alike(self, version: str, found: str) -> bool:
        """Compare without them."""
        return version.strip(' "0').lower() == found.strip(' "0').lower()

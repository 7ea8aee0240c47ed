"""Defects that another program's change shows: versions that stay, writers and readers that overlook the change."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from layerstore.driver import Reader, Stat, Writer
from layerstore.errors import FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.fencing import ReplayingWriter
from layerstore_conformance.defects.drivers.stat_versions import VersionedDriver
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

HEAD = 512
"""Bytes of an object's beginning."""


@planted("X1")
class VersionIsSizeAndTime(VersionedDriver):
    """The version is made of size and time, which another program can keep, or set back."""

    def version_of(self, key: str, found: Stat) -> str:
        """Tell both."""
        del key
        return f"{found.size}-{found.modified.timestamp()}"


@planted("X1")
class VersionIsOfTheBeginning(VersionedDriver):
    """The version is a number that changes when the object is made anew, and a hash of its first bytes."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that counts what it publishes."""
        return _CountedWriter(self, super().open_writer(key))

    def put(self, key: str, data: bytes) -> None:
        """Put, and count."""
        self.inner.put(key, data)
        self.count(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and count."""
        super().move(source, target, version=version)
        self.count(target)

    def count(self, key: str) -> None:
        """Count a change of our own."""
        self._changes()[key] += 1

    def version_of(self, key: str, found: Stat) -> str:
        """Tell the number, and hash the beginning."""
        del found
        with self.inner.open_reader(key) as reader:
            return f"{self._changes()[key]}-{hashlib.sha256(reader.read(HEAD)).hexdigest()}"

    def _changes(self) -> Counter[str]:
        found: Counter[str] = self.memory.setdefault("changes", Counter())
        return found


class _CountedWriter(PassingWriter):
    def __init__(self, driver: VersionIsOfTheBeginning, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver

    def publish(self) -> str:
        super().publish()
        self._driver.count(self.key)
        return self._driver.stat(self.key).version


@planted("X1")
class VersionIsNoted(VersionedDriver):
    """The version is a note beside the object that only the driver writes: other programs leave it as it is."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that notes what it publishes."""
        return _NotingWriter(self, super().open_writer(key))

    def put(self, key: str, data: bytes) -> None:
        """Put, and note it."""
        self.inner.put(key, data)
        self.note(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and note it."""
        super().move(source, target, version=version)
        self.note(target)

    def delete(self, key: str) -> None:
        """Delete, and the notes with it."""
        self.inner.delete(key)
        notes = self._notes()
        for each in [each for each in notes if f"{each}/".startswith(f"{key}/")]:
            notes.pop(each, None)

    def note(self, key: str) -> None:
        """Note the version that an object is at."""
        self._notes()[key] = self.inner.stat(key).version

    def version_of(self, key: str, found: Stat) -> str:
        """Tell what is noted."""
        return self._notes().get(key, found.version)

    def _notes(self) -> dict[str, str]:
        notes: dict[str, str] = self.memory.setdefault("notes", {})
        return notes


class _NotingWriter(PassingWriter):
    def __init__(self, driver: VersionIsNoted, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver

    def publish(self) -> str:
        super().publish()
        self._driver.note(self.key)
        return self._driver.stat(self.key).version


@planted("X1", "S1")
class AnEmptyObjectOfOthersHasNoVersion(VersionIsNoted):
    """What another program makes has the version of its parts: none, if it has no bytes."""

    def version_of(self, key: str, found: Stat) -> str:
        """Tell it, unless there is none."""
        return found.version if found.size or key in self._notes() else ""


@planted("X2")
class AnotherProgramsChangeIsPublishedOver(DefectiveDriver):
    """A writer is fenced only by this driver: it publishes over another program's bytes."""

    def open_writer(self, key: str) -> Writer:
        """Fence the earlier ones, and open a writer that knows no other program."""
        self.fence(key)
        return _OvertakingWriter(self, self.inner.open_writer(key))

    def put(self, key: str, data: bytes) -> None:
        """Fence, and put."""
        self.fence(key)
        self.inner.put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and fence both."""
        self.inner.move(source, target, version=version)
        self.fence(source)
        self.fence(target)

    def delete(self, key: str) -> None:
        """Fence the key, and all below it, and delete."""
        for each in [each for each in self.turns() if each.startswith(f"{key}/")]:
            self.fence(each)
        self.fence(key)
        self.inner.delete(key)

    def fence(self, key: str) -> None:
        """Begin a turn of a key."""
        self.turns()[key] += 1

    def turns(self) -> Counter[str]:
        """Return how often each key was taken."""
        found: Counter[str] = self.memory.setdefault("turns", Counter())
        return found


class _OvertakingWriter(ReplayingWriter):
    def __init__(self, driver: AnotherProgramsChangeIsPublishedOver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._turns = driver.turns()
        self._turn = self._turns[self.key]

    def fenced(self, error: FencedError) -> str:
        if self._turns[self.key] != self._turn:
            raise error
        return self.take_over()


@planted("F4")
class NewObjectReplacesAnotherPrograms(AnotherProgramsChangeIsPublishedOver):
    """The first flush of a new object replaces what another program has made under its key meanwhile."""

    def open_writer(self, key: str) -> Writer:
        """Fence the earlier ones; a writer of what is there already is none of ours."""
        writer = super().open_writer(key)
        assert isinstance(writer, _OvertakingWriter)
        return writer if writer.version is None else writer.inner


class _EmptyIsMissingWriter(_OvertakingWriter):
    def fenced(self, error: FencedError) -> str:
        if self.driver.inner.stat(self.key).size:
            raise error
        return super().fenced(error)


@planted("F4")
class AnEmptyObjectOfOthersIsReplaced(NewObjectReplacesAnotherPrograms):
    """The first flush of a new object takes an empty object that another program has made for none."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that takes nothing over but nothing."""
        writer = super().open_writer(key)
        return _EmptyIsMissingWriter(self, writer.inner) if isinstance(writer, _OvertakingWriter) else writer


class _KnowingWriter(DefectiveWriter):
    driver: MissingIsRemembered

    def publish(self) -> str:
        version = super().publish()
        self.driver.missing().discard(self.key)
        return version


@planted("S3")
class MissingIsRemembered(WriterDefect):
    """A key at which nothing was found is taken for missing until this driver stores something there."""

    writer = _KnowingWriter

    def stat(self, key: str) -> Stat:
        """Look only for what was not missing."""
        with self._remembering(key):
            return self.inner.stat(key)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open only what was not missing."""
        with self._remembering(key):
            return self.inner.open_reader(key, offset)

    def put(self, key: str, data: bytes) -> None:
        """Put, and know it."""
        self.inner.put(key, data)
        self.missing().discard(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and know it."""
        super().move(source, target, version=version)
        self.missing().discard(target)

    def missing(self) -> set[str]:
        """Return the keys at which nothing was found."""
        found: set[str] = self.memory.setdefault("missing", set())
        return found

    @contextmanager
    def _remembering(self, key: str) -> Iterator[None]:
        if key in self.missing():
            raise PathNotFoundError(key)
        try:
            yield
        except PathNotFoundError:
            self.missing().add(key)
            raise


@planted("X3")
class ReaderTakesTheNewVersion(DefectiveDriver):
    """A reader names the present version of the object, and returns the bytes that it was opened on."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that looks once more at every reading."""
        return _ForgetfulReader(self, self.inner.open_reader(key, offset))


class _ForgetfulReader(PassingReader):
    def __init__(self, driver: ReaderTakesTheNewVersion, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        count = super().read_at(offset, buffer)
        self.version = self._driver.stat(self.key).version
        return count

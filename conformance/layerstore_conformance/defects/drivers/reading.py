"""Defects of readers: wrong bytes, objects that are not there, and mixed versions."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from layerstore.driver import Driver, Reader, Writer
from layerstore.errors import BackendUnavailableError, InvalidOffsetError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Stat

PART = 4 << 20
"""Bytes that a backend takes at a time."""

BLOCK = 512
"""Bytes that a backend rounds sizes up to."""

FIRST = 64 << 10
"""Bytes of an answer that have arrived by the time its head is read."""

GULP = 4096
"""Bytes that a connection gives at a time."""


@planted("R1")
class ReaderIgnoresItsOffset(DefectiveDriver):
    """A reader begins at the start of the object, at whatever offset it is opened."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open at the start."""
        reader = self.inner.open_reader(key, offset)
        reader.seek(0)
        return reader


@planted("R2", "R5")
class ReadsPastTheEnd(DefectiveDriver):
    """A reader goes on with zeros to the end of the last block of 512 bytes."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader of whole blocks."""
        return _PaddedReader(self.inner.open_reader(key, offset))


class _PaddedReader(PassingReader):
    def __init__(self, inner: Reader) -> None:
        super().__init__(inner)
        self.size = -(-inner.size // BLOCK) * BLOCK

    def read_at(self, offset: int, buffer: memoryview) -> int:
        kept = max(0, min(len(buffer), self.inner.size - offset))
        if kept:
            return super().read_at(offset, buffer[:kept])
        buffer[:] = bytes(len(buffer))
        return len(buffer)


@planted("R2")
class EndRefused(DefectiveDriver):
    """An offset at the end is refused, as HTTP refuses a range that begins there."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader of at least one byte, but for the whole of an empty object."""
        reader = self.inner.open_reader(key, offset)
        if offset and offset == reader.size:
            reader.close()
            raise InvalidOffsetError(key, f"offset {offset} of {offset} bytes")
        return reader


@planted("R2")
class OffsetBeyondTheEndAccepted(DefectiveDriver):
    """A reader can be opened beyond the end, and reads nothing there."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open wherever it is asked for."""
        try:
            return self.inner.open_reader(key, offset)
        except InvalidOffsetError:
            reader = self.inner.open_reader(key)
            reader.seek(offset)
            return reader


class _EmptyReader(Reader):
    """A reader of no bytes, with nothing to release."""

    def __init__(self, key: str) -> None:
        super().__init__(key, 0, "none")


@planted("R3", "E1")
class MissingKeyReadsEmpty(DefectiveDriver):
    """A missing key is read as an empty object."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open nothing where there is nothing."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            if next(self.inner.list(key), None):
                raise
            return _EmptyReader(key)


@planted("E1", "R3", "S3")
class MissingKeyIsAKeyError(DefectiveDriver):
    """A missing key raises KeyError, as a dictionary of objects does."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, and let the wrong error through."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError as error:
            raise KeyError(key) from error

    def stat(self, key: str) -> Stat:
        """Look, and let the wrong error through."""
        try:
            return self.inner.stat(key)
        except PathNotFoundError as error:
            raise KeyError(key) from error


@planted("R3")
class PrefixReadsEmpty(DefectiveDriver):
    """A prefix is read as an empty object."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open nothing where something lies below."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            if not next(self.inner.list(key), None):
                raise
            return _EmptyReader(key)


@planted("R3")
class PrefixReadsItsFirstKey(DefectiveDriver):
    """A prefix is read as the first object below it."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open the first object that the key is the beginning of."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            first = next(self.inner.list(key), None)
            if first is None:
                raise
            return self.open_reader(first.rstrip("/"), offset)


@planted("R4")
class ReaderMixesVersions(DefectiveDriver):
    """Every read reads the present version, not the one that the reader was opened on."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that keeps nothing but the key."""
        return ForgetfulReader(self.inner, self.inner.open_reader(key, offset))


class ForgetfulReader(PassingReader):
    """Keeps nothing but the key."""

    def __init__(self, driver: Driver, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read what is there now."""
        try:
            reader = self._driver.open_reader(self.key, offset)
        except (InvalidOffsetError, PathNotFoundError):
            return 0  # the front says that nothing more came
        with reader:
            return reader.readinto(buffer)


class _ZerosReader(PassingReader):
    _failed = False

    def __init__(self, driver: Driver, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        try:
            there = self._driver.stat(self.key).version
        except PathNotFoundError:
            there = ""
        if there == self.version:
            return super().read_at(offset, buffer)
        if not self._failed:
            self._failed = True
            raise BackendUnavailableError(self.key, "the version that was opened is gone")
        buffer[:] = bytes(len(buffer))
        return len(buffer)


@planted("R4", "R5")
class AReadThatFailedGivesZerosThen(DefectiveDriver):
    """A reader whose version is gone raises once, and at the next read gives what it has not got."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that keeps no version."""
        return _ZerosReader(self.inner, self.inner.open_reader(key, offset))


@planted("R4")
class ReaderEndsWithItsObject(DefectiveDriver):
    """After a delete or a move, a reader says that the key is missing, even if it was made anew."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that loses its object."""
        reader = _LosingReader(self.inner.open_reader(key, offset))
        self._readers().add(reader)
        return reader

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and take the object from under its readers."""
        self.inner.move(source, target, version=version)
        for reader in [each for each in self._readers() if each.key == source]:
            reader.lost = True

    def delete(self, key: str) -> None:
        """Delete, and take the objects from under their readers."""
        self.inner.delete(key)
        for reader in [each for each in self._readers() if f"{each.key}/".startswith(f"{key}/")]:
            reader.lost = True

    def _readers(self) -> weakref.WeakSet[_LosingReader]:
        found: weakref.WeakSet[_LosingReader] = self.memory.setdefault("readers", weakref.WeakSet())
        return found


class _LosingReader(PassingReader):
    lost = False

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if self.lost:
            raise PathNotFoundError(self.key)
        return super().read_at(offset, buffer)


@planted("R4", "W6")
class ReaderShowsUnflushed(DefectiveDriver):
    """A reader shows bytes that a writer has written over the object's and not flushed."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that looks through the writers' changes."""
        return _OverlaidReader(self.inner.open_reader(key, offset), self._changes(key))

    def open_writer(self, key: str) -> Writer:
        """Open a writer whose changes can be seen."""
        self._changes(key).clear()
        return _SeenWriter(self.inner.open_writer(key), self._changes(key))

    def _changes(self, key: str) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = self.memory.setdefault(key, [])
        return found


class _SeenWriter(PassingWriter):
    def __init__(self, inner: Writer, changes: list[tuple[int, bytes]]) -> None:
        super().__init__(inner)
        self._changes = changes

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self._changes.append((offset, bytes(data)))

    def publish(self) -> str:
        version = super().publish()
        self._changes.clear()
        return version

    def release(self) -> None:
        self._changes.clear()
        super().release()


class _OverlaidReader(PassingReader):
    def __init__(self, inner: Reader, changes: list[tuple[int, bytes]]) -> None:
        super().__init__(inner)
        self._changes = changes

    def read_at(self, offset: int, buffer: memoryview) -> int:
        count = super().read_at(offset, buffer)
        for start, data in self._changes:
            first, last = max(start, offset), min(start + len(data), offset + count)
            if first < last:
                buffer[first - offset : last - offset] = data[first - start : last - start]
        return count


@planted("R5")
class BufferHalfFilled(DefectiveDriver):
    """A read fills no more than 4 KiB of a buffer, and reports all of it as filled."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that does not look at how much it got."""
        return _HastyReader(self.inner.open_reader(key, offset))


class _HastyReader(PassingReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        count = super().read_at(offset, buffer[:GULP])
        if count < GULP:
            return count
        buffer[GULP:] = bytes(len(buffer) - GULP)  # what a fresh buffer holds; else it may be an earlier read's bytes
        return len(buffer)


@planted("P1", "R5", "W2")
class TailDropped(DefectiveDriver):
    """Of one put or write beyond 4 MiB, only whole parts of 4 MiB are stored."""

    def put(self, key: str, data: bytes) -> None:
        """Put whole parts."""
        self.inner.put(key, data[: _whole(len(data))])

    def open_writer(self, key: str) -> Writer:
        """Open a writer of whole parts."""
        return _PartsWriter(self.inner.open_writer(key))


class _PartsWriter(PassingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data[: _whole(len(data))])


def _whole(size: int) -> int:
    return size if size <= PART else size // PART * PART


@planted("R5")
class ShortReadInSilence(DefectiveDriver):
    """A reader ends after the first 64 KiB that arrive, as if they were all."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader of what arrives first."""
        reader = self.inner.open_reader(key, offset)
        reader.size = min(reader.size, offset + FIRST)
        return reader

"""Defects of fencing: a writer is fenced, or refused, though nobody has taken its key."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress
from weakref import WeakValueDictionary

from layerstore.driver import Reader, Writer
from layerstore.errors import (
    BackendUnavailableError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class _KnowsItsWriters(DefectiveDriver):
    """Knows which keys have a writer."""

    @property
    def writers(self) -> MutableMapping[str, Writer]:
        """The writer opened last of every key, for as long as it is held."""
        writers: MutableMapping[str, Writer] = self.memory.setdefault("writers", WeakValueDictionary())
        return writers

    def open_writer(self, key: str) -> Writer:
        """Open a writer, and know it."""
        writer = self.inner.open_writer(key)
        self.writers[key] = writer
        return writer


@planted("F1")
class SecondWriterRefused(_KnowsItsWriters):
    """A writer is refused while another one of the key is open."""

    def open_writer(self, key: str) -> Writer:
        """Refuse a second writer.

        Raises:
            BackendUnavailableError: there is one.
        """
        first = self.writers.get(key)
        if first is not None and not first.closed:
            raise BackendUnavailableError(key, "locked by another writer")
        return super().open_writer(key)


@planted("F1")
class ReadingFences(DefectiveDriver):
    """An open of a reader fences the object's writer."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader, and a writer for a moment."""
        reader = self.inner.open_reader(key, offset)
        self.inner.open_writer(key).discard()
        return reader


@planted("F1", "T2")
class ClosingADriverFences(_KnowsItsWriters):
    """A close of a driver fences every writer of the store, those of other handles too."""

    def close(self) -> None:
        """Fence, and close."""
        for key, writer in list(self.writers.items()):
            if not writer.closed:
                self.inner.open_writer(key).discard()
        self.inner.close()


class _FencesOthers(_KnowsItsWriters):
    """Fences writers of other keys at every change of a key."""

    def begins(self, key: str) -> str:
        """Return how the keys begin whose writers are fenced."""
        raise NotImplementedError

    def open_writer(self, key: str) -> Writer:
        """Fence, and open a writer."""
        self._fence(key)
        return super().open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """Fence, and put."""
        self._fence(key)
        self.inner.put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fence, and move."""
        self._fence(source)
        self._fence(target)
        self.inner.move(source, target, version=version)

    def delete(self, key: str) -> None:
        """Fence, and delete."""
        self._fence(key)
        self.inner.delete(key)

    def _fence(self, key: str) -> None:
        for other, writer in list(self.writers.items()):
            if other != key and other.startswith(self.begins(key)) and not writer.closed:
                self.inner.open_writer(other).discard()


@planted("F1", "F2")
class FencingTooEager(_FencesOthers):
    """Every change of a key fences the writers of all keys that begin with the same letters."""

    def begins(self, key: str) -> str:
        """Fence ``keys`` with ``key``."""
        return key


@planted("F1", "F2")
class EveryChangeFencesBelowItsPrefix(_FencesOthers):
    """Every change of a key fences the writers of all keys below it, as only a delete should."""

    def begins(self, key: str) -> str:
        """Fence ``key/below`` with ``key``."""
        return f"{key}/"


@planted("E4", "M3")
class MissingMoveFencesTarget(DefectiveDriver):
    """A move fences its target's writer before it finds that there is no source."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or have fenced in vain."""
        try:
            self.inner.move(source, target, version=version)
        except PathNotFoundError:
            with suppress(UnsupportedOperationError):
                self.inner.open_writer(target).discard()
            raise


@planted("E4", "M4")
class RefusedMoveFencesSource(DefectiveDriver):
    """A move fences its source's writer before it compares the version."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or have fenced in vain."""
        try:
            self.inner.move(source, target, version=version)
        except FencedError:
            self.inner.open_writer(source).discard()
            raise

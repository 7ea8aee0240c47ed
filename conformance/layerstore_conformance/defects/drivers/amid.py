"""Defects that show when a call comes in the middle of another: one step is done in two, and fences in one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerstore.errors import FencedError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, RepeatingWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Writer


class _FencingFirst(DefectiveDriver):
    """Fences the writers of a key that there are, and then changes it: one that is opened in between is not fenced."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that is not fenced by a change that has begun."""
        writer = self.inner.open_writer(key)
        return _LateWriter(self, writer) if self._changing[key] else writer

    @property
    def _changing(self) -> Counter[str]:
        found: Counter[str] = self.memory.setdefault("changing", Counter())
        return found

    @contextmanager
    def fenced(self, *keys: str) -> Iterator[None]:
        """Have the writers of keys fenced, before the block changes them."""
        self._changing.update(keys)
        try:
            yield
        finally:
            self._changing.subtract(keys)


class _LateWriter(RepeatingWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            return self.publish_over()


@planted("F2", "F4")
class PutFencesBeforeItStores(_FencingFirst):
    """A put fences the writers, and then stores: a writer that is opened in between publishes over it."""

    def put(self, key: str, data: bytes) -> None:
        """Fence, and store."""
        with self.fenced(key):
            self.inner.put(key, data)


@planted("F2", "D3")
class DeleteFencesBeforeItRemoves(_FencingFirst):
    """A delete fences the writers, and then removes: a writer that is opened in between brings the object back."""

    def delete(self, key: str) -> None:
        """Fence, and remove."""
        with self.fenced(key):
            self.inner.delete(key)


@planted("F2", "D1", "D3")
class PrefixDeletedKeyByKey(_FencingFirst):
    """A delete of a prefix fences the writers below it, and then removes key by key, those too that are opened anew."""

    def delete(self, key: str) -> None:
        """Fence all, and remove one after the other."""
        below = [each for each in self.inner.list(key) if not each.endswith("/")]
        with self.fenced(*below):
            self.inner.delete(key)


@planted("F2", "M1")
class MoveFencesBeforeItMoves(_FencingFirst):
    """A move fences the writers of both keys, and then moves: a writer that is opened in between is not fenced."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fence, and move."""
        with self.fenced(source, target):
            self.inner.move(source, target, version=version)


class _AskingWriter(DefectiveWriter):
    _changed = False

    def write_at(self, offset: int, data: memoryview) -> None:
        self._changed = True
        super().write_at(offset, data)

    def publish(self) -> str:
        version = super().publish()
        if not self._changed:
            version = self.driver.inner.stat(self.key).version
        self._changed = False
        return version


@planted("F3", "W6")
class UnchangedFlushAsksForTheVersion(WriterDefect):
    """A flush of nothing checks its fence, and then asks for the object's version, which may be gone."""

    writer = _AskingWriter

"""Defects of deletes: too little or too much is deleted, or comes back."""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import partial
from weakref import WeakValueDictionary

from layerstore.driver import Driver, Reader, Writer
from layerstore.errors import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.listing import beside
from layerstore_conformance.defects.drivers.putting import WaitingDriver, content
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.passing import PassingWriter


def delete_alone(driver: Driver, key: str) -> None:
    """Delete an object, and none of the keys below its own."""
    if next(driver.list(key), None) is None:
        driver.delete(key)
        return
    aside = "/".join((*key.split("/")[:-1], uuid.uuid4().hex))  # nothing lies below this
    with suppress(PathNotFoundError):
        driver.move(key, aside)
        driver.delete(aside)


def taken_by_a_delete(driver: Driver, key: str) -> dict[str, bytes]:
    """Return the keys that a delete of this key removes, and their bytes."""
    found = {each: content(driver, each) for each in (key, *keys_below(driver, key))}
    return {each: data for each, data in found.items() if data is not None}


@planted("D1")
class DeleteDoesNothing(DefectiveDriver):
    """A delete returns, and deletes nothing."""

    def delete(self, key: str) -> None:
        """Do nothing."""


@planted("D1")
class ChildrenLeft(DefectiveDriver):
    """A delete removes the object itself, and leaves the keys below."""

    def delete(self, key: str) -> None:
        """Delete the object alone."""
        delete_alone(self.inner, key)


@planted("D1")
class GrandchildrenLeft(DefectiveDriver):
    """A delete removes the object and the keys directly below it, and leaves the deeper ones."""

    def delete(self, key: str) -> None:
        """Delete to a depth of one."""
        for child in tuple(self.inner.list(key)):
            if not child.endswith("/"):
                delete_alone(self.inner, child)
        delete_alone(self.inner, key)


@planted("D1", "K3")
class DeleteGoesByLetters(DefectiveDriver):
    """A delete removes every key that begins with the same letters: ``app2`` with ``app``."""

    def delete(self, key: str) -> None:
        """Delete all that begin with the key's letters."""
        for other in beside(self.inner, key):
            self.inner.delete(other.rstrip("/"))
        self.inner.delete(key)


@planted("D1")
class DeleteTakesARun(DefectiveDriver):
    """A delete of an object removes all keys up to the last one below it: also ``a-``, between ``a`` and ``a/b``."""

    def delete(self, key: str) -> None:
        """Delete from the object to what is below it."""
        if content(self.inner, key) is not None:
            for other in beside(self.inner, key):
                if other < f"{key}/":
                    self.inner.delete(other.rstrip("/"))
        self.inner.delete(key)


@planted("D1")
class DeleteTakesWhatIsAbove(DefectiveDriver):
    """A delete also removes the objects above the key, as if they were directories that became empty."""

    def delete(self, key: str) -> None:
        """Delete upwards, too."""
        self.inner.delete(key)
        segments = key.split("/")
        for end in range(1, len(segments)):
            above = "/".join(segments[:end])
            with suppress(PathNotFoundError):
                self.inner.stat(above)
                delete_alone(self.inner, above)


@planted("D2")
class DeleteOfNothingRaises(DefectiveDriver):
    """A delete of a missing key raises."""

    def delete(self, key: str) -> None:
        """Delete what is there."""
        there = taken_by_a_delete(self.inner, key)
        self.inner.delete(key)
        if not there:
            raise PathNotFoundError(key)


@planted("D4", "D2")
class DeleteStopsAtWhatIsGone(DefectiveDriver):
    """A delete goes through the keys that were put, and stops at the first that is gone already."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and take it down."""
        self.inner.put(key, data)
        self.memory.setdefault("put", {})[key] = True

    def delete(self, key: str) -> None:
        """Delete what was taken down."""
        for each in [each for each in self.memory.get("put", ()) if each.startswith(f"{key}/")]:
            try:
                self.inner.stat(each)
            except PathNotFoundError:
                return
            self.inner.delete(each)
        self.inner.delete(key)


@planted("D4", "D1")
class DeleteWaitsForClose(WaitingDriver):
    """A delete is done only when the handle is closed; until then the object can be seen."""

    def delete(self, key: str) -> None:
        """Put it off."""
        self.waiting.append(partial(self.inner.delete, key))


@planted("D1", "R3")
class DeletedKeyStillRead(DefectiveDriver):
    """A deleted object is gone from ``stat`` and listings, but can still be read under its key."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Read what is there, or was."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            if key in self.memory:
                return _LateReader(key, self.memory[key], offset)
            raise

    def delete(self, key: str) -> None:
        """Delete, and keep the bytes."""
        self.memory.update(taken_by_a_delete(self.inner, key))
        self.inner.delete(key)


class _LateReader(Reader):
    def __init__(self, key: str, data: bytes, offset: int) -> None:
        super().__init__(key, len(data), "deleted", min(offset, len(data)))
        self._data = data

    def read_at(self, offset: int, buffer: memoryview) -> int:
        buffer[:] = self._data[offset : offset + len(buffer)]
        return len(buffer)


@planted("D1", "K3")
class DeletedNameStaysTaken(DefectiveDriver):
    """No object can be made under a key from which one was deleted."""

    def _refuse(self, key: str) -> None:
        if key in self.memory.get("deleted", ()):
            raise BackendUnavailableError(key, "is being deleted")

    def open_writer(self, key: str) -> Writer:
        """Open, unless it was deleted."""
        self._refuse(key)
        return self.inner.open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """Put, unless it was deleted."""
        self._refuse(key)
        self.inner.put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, unless the target was deleted."""
        self._refuse(target)
        self.inner.move(source, target, version=version)

    def delete(self, key: str) -> None:
        """Delete, and remember it."""
        self.memory.setdefault("deleted", set()).update(taken_by_a_delete(self.inner, key))
        self.inner.delete(key)


@planted("D1", "W4")
class DeletedBytesComeBack(DefectiveDriver):
    """A gap in an object made anew under a deleted key shows the deleted bytes, not zeros."""

    def open_writer(self, key: str) -> Writer:
        """Open upon the deleted bytes."""
        return _UponDeleted(self.inner.open_writer(key), self.memory.get(key, b""))

    def delete(self, key: str) -> None:
        """Delete, and keep the bytes."""
        self.memory.update(taken_by_a_delete(self.inner, key))
        self.inner.delete(key)


class _UponDeleted(PassingWriter):
    def __init__(self, inner: Writer, deleted: bytes) -> None:
        super().__init__(inner)
        self._deleted = deleted if inner.version is None else b""

    def write_at(self, offset: int, data: memoryview) -> None:
        if gap := self._deleted[self.size : offset]:
            super().write_at(self.size, memoryview(gap))
        super().write_at(offset, data)


@planted("D3", "F3")
class ClosingBringsItBack(DefectiveDriver):
    """A writer that finds its object deleted when it is closed raises, and puts the old bytes back."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that puts back."""
        return _Restoring(self.inner, self.inner.open_writer(key))


class _Restoring(PassingWriter):
    def __init__(self, driver: Driver, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver
        self._opened = content(driver, inner.key)

    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            if self._opened is not None and content(self._driver, self.key) is None:
                self._driver.put(self.key, self._opened)
            raise


@planted("F2", "D3")
class DeleteDoesNotFence(DefectiveDriver):
    """A delete fences no writer: its next flush makes the object again."""

    @property
    def owners(self) -> WeakValueDictionary[str, _Unfenced]:
        """The writers that nothing fenced but a delete."""
        found: WeakValueDictionary[str, _Unfenced] = self.memory.setdefault("owners", WeakValueDictionary())
        return found

    def open_writer(self, key: str) -> Writer:
        """Open, and fence."""
        self.owners[key] = writer = _Unfenced(self, self.inner.open_writer(key))
        return writer

    def put(self, key: str, data: bytes) -> None:
        """Put, and fence."""
        self.inner.put(key, data)
        self.owners.pop(key, None)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and fence."""
        self.inner.move(source, target, version=version)
        self.owners.pop(source, None)
        self.owners.pop(target, None)

    def delete(self, key: str) -> None:
        """Delete, and let the writers go on."""
        self.inner.delete(key)
        for owned, writer in tuple(self.owners.items()):
            writer.deleted = writer.deleted or f"{owned}/".startswith(f"{key}/")


class _Unfenced(PassingWriter):
    deleted = False
    """Whether the object was deleted since it was opened."""

    def __init__(self, driver: DeleteDoesNotFence, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver
        self._draft = bytearray(content(driver.inner, inner.key) or b"")

    def write_at(self, offset: int, data: memoryview) -> None:
        try:
            super().write_at(offset, data)
        except FencedError:
            if not self._goes_on():
                raise
        self._draft.extend(bytes(max(0, offset - len(self._draft))))
        self._draft[offset : offset + len(data)] = data

    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            if not self._goes_on():
                raise
        self.inner.discard()
        self.inner = self._driver.inner.open_writer(self.key)
        self.deleted = False
        if self._draft:
            super().write_at(0, memoryview(self._draft))
        return super().publish()

    def _goes_on(self) -> bool:
        return self.deleted and self._driver.owners.get(self.key) is self


@planted("D2", "D4")
class WhatHasVanishedRaises(DefectiveDriver):
    """A delete finds what lies below, and raises if some of that is gone when its turn comes."""

    def delete(self, key: str) -> None:
        """Look at each object again before it goes."""
        for below in list(keys_below(self.inner, key)):
            self.inner.stat(below)
            self.inner.delete(below)
        self.inner.delete(key)

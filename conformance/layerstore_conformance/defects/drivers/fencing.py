"""Defects of fencing: a writer is not fenced, or does harm though it is."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress
from threading import Lock
from weakref import WeakValueDictionary

from layerstore.driver import Writer
from layerstore.errors import FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.writing import ChangedWriter, DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class ReplayingWriter(DefectiveWriter):
    """Remembers what it has not flushed, and can write that again with another writer."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._parts: list[tuple[int, bytes]] = []

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write, and remember."""
        with suppress(FencedError):  # the flush decides what that means
            super().write_at(offset, data)
        self._parts.append((offset, bytes(data)))

    def publish(self) -> str:
        """Publish, and forget."""
        try:
            version = super().publish()
        except FencedError as error:
            version = self.fenced(error)
        self._parts.clear()
        return version

    def fenced(self, error: FencedError) -> str:
        """Say what a fenced writer's flush does: return a version, or raise ``error``."""
        raise error

    def take_over(self) -> str:
        """Publish although fenced, however often others do so in between; return the version."""
        while True:
            # One at a time: threads that took over from each other in turns would get nowhere.
            with self.driver.memory.setdefault("turn", Lock()), suppress(FencedError):
                self.inner.discard()
                self.inner = self.driver.inner.open_writer(self.key)
                for offset, data in self._parts:
                    super().write_at(offset, memoryview(data))
                return super().publish()


class _UnfencedWriter(ReplayingWriter):
    def fenced(self, error: FencedError) -> str:
        del error
        return self.take_over()


@planted("F1", "F2", "F3")
class FencingAbsent(WriterDefect):
    """No writer is ever fenced: every flush publishes over the object."""

    writer = _UnfencedWriter


class _ComparingWriter(ReplayingWriter):
    def fenced(self, error: FencedError) -> str:
        try:
            found: str | None = self.driver.inner.stat(self.key).version
        except PathNotFoundError:
            found = None
        if found != self.version:
            raise error
        return self.take_over()


@planted("F1", "F2", "F4")
class FencedByVersionAlone(WriterDefect):
    """A writer is fenced only if the object has another version than its own, whatever happened in between."""

    writer = _ComparingWriter


class _DefiantWriter(ReplayingWriter):
    def fenced(self, error: FencedError) -> str:
        self.take_over()
        self.driver.inner.open_writer(self.key).discard()  # or it would be fenced no more
        raise error


@planted("F3")
class FencedWriterPublishes(WriterDefect):
    """A fenced writer's flush raises ``FencedError``, and has published all the same."""

    writer = _DefiantWriter


class _ComplacentWriter(ReplayingWriter):
    def fenced(self, error: FencedError) -> str:
        if self._parts:
            raise error
        return self.version or ""


@planted("F3")
class FencedOnlyWithNewData(WriterDefect):
    """A fenced writer's flush raises only if it has something to publish."""

    writer = _ComplacentWriter


class _EndingLightlyWriter(ChangedWriter):
    def publish_last(self) -> None:
        if self.changed or self.version is None:
            self.publish()


@planted("F3")
class EndOfNothingChecksNoFence(WriterDefect):
    """The end of a writer that has nothing to publish does nothing, whoever has taken its key."""

    writer = _EndingLightlyWriter


class _VengefulWriter(DefectiveWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            self.driver.inner.open_writer(self.key).discard()
            raise


@planted("F3")
class FencedFlushFences(WriterDefect):
    """A fenced writer's flush is refused, and fences the later writer."""

    writer = _VengefulWriter


class _SpitefulWriter(DefectiveWriter):
    _fenced = False

    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError:
            self._fenced = True
            raise

    def release(self) -> None:
        super().release()
        if self._fenced:
            self.driver.inner.open_writer(self.key).discard()


@planted("F1", "F3")
class FencedDiscardFences(WriterDefect):
    """A fenced writer that is closed releases the key, though it belongs to the later writer."""

    writer = _SpitefulWriter


class _SelfFencingWriter(DefectiveWriter):
    def publish(self) -> str:
        version = super().publish()
        self.driver.inner.open_writer(self.key).discard()
        return version


@planted("F4")
class AFlushFencesItsWriter(WriterDefect):
    """A flush fences its own writer: the object no longer has the version that was opened."""

    writer = _SelfFencingWriter


class _OwningWriter(ReplayingWriter):
    spared = False
    """Whether it goes on though it was fenced, unless the key has another owner by now."""

    def fenced(self, error: FencedError) -> str:
        if self.spared and _owners(self.driver).get(self.key) is self:
            return self.take_over()
        raise error


def _owners(driver: DefectiveDriver) -> MutableMapping[str, _OwningWriter]:
    owners: MutableMapping[str, _OwningWriter] = driver.memory.setdefault("owners", WeakValueDictionary())
    return owners


class _KnowsOwners(DefectiveDriver):
    """Knows the owner of every key, as far as this process is concerned."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that owns the key."""
        writer = _owners(self)[key] = _OwningWriter(self, self.inner.open_writer(key))
        return writer

    def put(self, key: str, data: bytes) -> None:
        """Fence, and put."""
        self.fence(key)
        self.inner.put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fence the source and the target, and move."""
        self.fence(source)
        self.fence(target)
        self.inner.move(source, target, version=version)

    def delete(self, key: str) -> None:
        """Fence the key and what is below it, and delete."""
        for owned in self.at_or_below(key):
            self.fence(owned)
        self.inner.delete(key)

    def at_or_below(self, key: str) -> list[str]:
        """Return the keys with an owner that a delete takes away."""
        return [owned for owned in list(_owners(self)) if f"{owned}/".startswith(f"{key}/")]

    def fence(self, key: str) -> None:
        """Take the key from its owner."""
        _owners(self).pop(key, None)

    def spare(self, key: str) -> None:
        """Leave the key to its owner, whom the driver behind is about to fence."""
        owner = _owners(self).get(key)
        if owner is not None:
            owner.spared = True


@planted("C3", "F1", "F2")
class FencingEndsWithTheProcess(_KnowsOwners):
    """The owner of a key is kept in the process, so that a writer is fenced by its own process alone."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that no other process fences."""
        writer = super().open_writer(key)
        self.spare(key)
        return writer


@planted("F2")
class PutDoesNotFence(_KnowsOwners):
    """A put does not fence the object's writer, who writes into the new object."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and fence nobody."""
        self.spare(key)
        self.inner.put(key, data)


@planted("F2", "D1")
class DeleteFencesOnlyTheKey(_KnowsOwners):
    """A delete of a prefix does not fence the writers of the keys below it."""

    def delete(self, key: str) -> None:
        """Fence the key alone, and delete."""
        for owned in self.at_or_below(key):
            (self.fence if owned == key else self.spare)(owned)
        self.inner.delete(key)


@planted("F2")
class MoveDoesNotFenceTheSource(_KnowsOwners):
    """A move does not fence the source's writer, who brings the source back."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fence the target alone, and move."""
        self.spare(source)
        self.fence(target)
        self.inner.move(source, target, version=version)


@planted("F2")
class MoveDoesNotFenceTheTarget(_KnowsOwners):
    """A move does not fence the target's writer, who writes into the moved object."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fence the source alone, and move."""
        self.fence(source)
        self.spare(target)
        self.inner.move(source, target, version=version)


class _Seat:
    """What a driver keeps of an object's writers: how many there were."""

    taken = 0


class _NumberedWriter(ReplayingWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer, seat: _Seat) -> None:
        super().__init__(driver, inner)
        seat.taken += 1
        self._seat, self._number = seat, seat.taken

    def fenced(self, error: FencedError) -> str:
        if self._seat.taken != self._number:
            raise error
        return self.take_over()


@planted("F2", "F3")
class WritersCountedAnewAfterAMove(DefectiveDriver):
    """A writer is told by its number among the writers of an object, and a move counts from the beginning."""

    @property
    def seats(self) -> dict[str, _Seat]:
        """The seats of the objects that are there."""
        found: dict[str, _Seat] = self.memory.setdefault("seats", {})
        return found

    def open_writer(self, key: str) -> Writer:
        """Open the next writer of the object."""
        return _NumberedWriter(self, self.inner.open_writer(key), self.seats.setdefault(key, _Seat()))

    def put(self, key: str, data: bytes) -> None:
        """Put another object."""
        self.inner.put(key, data)
        self.fence(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and count anew."""
        self.inner.move(source, target, version=version)
        self.fence(target)
        self.seats[target] = self.seats.pop(source, _Seat())
        self.seats[target].taken = 0

    def delete(self, key: str) -> None:
        """Delete."""
        self.inner.delete(key)
        for each in [each for each in self.seats if f"{each}/".startswith(f"{key}/")]:
            self.fence(each)

    def fence(self, key: str) -> None:
        """Have none of the numbers given so far be the last one."""
        self.seats.pop(key, _Seat()).taken = -1

"""Defects of a backend that goes away: a handle that has found it once takes it to be there, and empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layerstore.errors import BackendUnavailableError, DriverError, FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, RepeatingWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Driver, Reader, Stat, Writer


@planted("E2")
class GoneBackendReadsEmpty(DefectiveDriver):
    """A handle that has listed something once finds nothing in a backend that is gone."""

    _found = False

    def list(self, prefix: str) -> Iterator[str]:
        """List, or end at once."""
        try:
            for child in self.inner.list(prefix):
                self._found = True
                yield child
        except BackendUnavailableError:
            if not self._found:
                raise

    def stat(self, key: str) -> Stat:
        """Look for it, or find nothing."""
        try:
            return self.inner.stat(key)
        except BackendUnavailableError:
            if self._found:
                raise PathNotFoundError(key) from None
            raise


@planted("E2")
class GoneBackendHasNothingToDelete(DefectiveDriver):
    """A handle that has deleted nothing yet raises if the backend is gone; later deletes return."""

    _tried = False

    def delete(self, key: str) -> None:
        """Delete, or have nothing to delete."""
        try:
            self.inner.delete(key)
        except BackendUnavailableError:
            if not self._tried:
                self._tried = True
                raise


@planted("E2", "X1")
class ReplacedStoreIsNotNoticed(DefectiveDriver):
    """What a driver has put it remembers, and finds whatever became of the store."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._put: dict[str, Stat] = {}

    def put(self, key: str, data: bytes) -> None:
        """Put, and remember."""
        self.inner.put(key, data)
        self._put[key] = self.inner.stat(key)

    def stat(self, key: str) -> Stat:
        """Look, or remember."""
        try:
            return self.inner.stat(key)
        except (PathNotFoundError, BackendUnavailableError):
            if key in self._put:
                return self._put[key]
            raise


@planted("X1", "E2", "D1")
class DeletesByRememberedVersion(DefectiveDriver):
    """A driver deletes what it has put at the version that this had then, and nothing else that has its key by now."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        super().__init__(inner, memory)
        self._put: dict[str, str] = {}

    def put(self, key: str, data: bytes) -> None:
        """Put, and remember the version."""
        self.inner.put(key, data)
        self._put[key] = self.inner.stat(key).version

    def delete(self, key: str) -> None:
        """Delete, or take something else for deleted."""
        if key in self._put:
            with suppress(PathNotFoundError):
                if self.inner.stat(key).version != self._put.pop(key):
                    return
        self.inner.delete(key)


@planted("E2", "C3")
class MissingStoreIsRemembered(DefectiveDriver):
    """A driver that has found no store asks no more whether there is one, until it makes one itself."""

    _missing: BackendUnavailableError | None = None

    def stat(self, key: str) -> Stat:
        """Look, or remember."""
        if self._missing is not None:
            raise self._missing
        try:
            return self.inner.stat(key)
        except BackendUnavailableError as error:
            self._missing = error
            raise

    def put(self, key: str, data: bytes) -> None:
        """Put, and there is one."""
        self.inner.put(key, data)
        self._missing = None


class _Careless(DefectiveWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except BackendUnavailableError:
            return self.version or "0"


@planted("E2", "W6")
class AFlushDoesNotMissTheBackend(WriterDefect):
    """A flush that finds no backend seems to be done."""

    writer = _Careless


class _Keeping(DefectiveWriter):
    """Knows what a new object is to hold."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self.kept = bytearray()

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.kept[offset : offset + len(data)] = data

    def put(self) -> str:
        """Put it."""
        self.driver.inner.put(self.key, bytes(self.kept))
        return self.driver.inner.stat(self.key).version


class _Making(_Keeping):
    def publish(self) -> str:
        try:
            return super().publish()
        except BackendUnavailableError:
            if self.version is None:
                self.put()
            raise


@planted("E2")
class AFlushMakesTheBackend(WriterDefect):
    """A flush of a new object that finds no backend makes one, and puts the object there."""

    writer = _Making


class _Late(RepeatingWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except (BackendUnavailableError, FencedError):
            self.driver.memory.setdefault("late", []).append(self)
            raise


@planted("W7", "W8")
class AFailedFlushIsDoneLater(WriterDefect):
    """A flush that failed is done as soon as the store is looked at again, by whatever handle."""

    writer = _Late

    def list(self, prefix: str) -> Iterator[str]:
        """Do what is late, and list."""
        with suppress(DriverError):
            yield from self.inner.list("-")  # if there is no store to look at, it stays late
            for writer in self.memory.pop("late", []):
                writer.publish_over()
        yield from self.inner.list(prefix)


class _Elsewhere(RepeatingWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except (BackendUnavailableError, FencedError):
            return self.publish_over()


@planted("X2", "F4")
class AFlushIntoAStoreThatTookThePlace(WriterDefect):
    """A flush that is refused is done by another writer, in whatever store there is by then."""

    writer = _Elsewhere


class _FencedByAnOutage(DefectiveWriter):
    missed = False

    def publish(self) -> str:
        if self.missed:
            raise FencedError(self.key)
        try:
            return super().publish()
        except BackendUnavailableError:
            self.missed = True
            raise


@planted("W8", "F1")
class ABackendThatWasGoneFences(WriterDefect):
    """A writer whose flush has found no backend is fenced for good."""

    writer = _FencedByAnOutage


class _Jealous(DefectiveWriter):
    def release(self) -> None:
        super().release()
        with suppress(DriverError):
            self.driver.inner.open_writer(self.key).discard()


@planted("T2", "F1")
class ADiscardFencesWhoeverHasTheKey(WriterDefect):
    """A writer that is discarded fences the writer that the key has by then."""

    writer = _Jealous


@planted("E2", "L4")
class GoneBackendEndsWhatIsRead(DefectiveDriver):
    """A listing ends as if it were whole if its backend goes away meanwhile."""

    def list(self, prefix: str) -> Iterator[str]:
        """List, as long as there is a backend."""
        for child in self.inner.list(prefix):
            yield child
            with suppress(PathNotFoundError):
                try:
                    self.inner.stat("-")
                except BackendUnavailableError:
                    return


@planted("E2", "T1", "X1")
class ARootIsKnownByANumber(DefectiveDriver):
    """A store that is gone gives up its number while another thread uses it, and the next store gets the number."""

    _number: int | None = None

    def stat(self, key: str) -> Stat:
        """Look in the store that has the number by now."""
        number = self._enter()
        len(key)
        try:
            return self._stores()[number].stat(key)
        except BackendUnavailableError:
            self._number = None
            self._stores().pop(number, None)
            raise

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Read in the store that has the number by now."""
        number = self._enter()
        len(key)
        return self._stores()[number].open_reader(key, offset)

    def _stores(self) -> dict[int, Driver]:
        found: dict[int, Driver] = self.memory.setdefault("stores", {})
        return found

    def _enter(self) -> int:
        if self._number is None:
            self._number = next(each for each in range(1 << 20) if each not in self._stores())
            self._stores()[self._number] = self.inner
        return self._number

"""Defects of a backend that goes away: a handle that has found it once takes it to be there, and empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Driver, Stat


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

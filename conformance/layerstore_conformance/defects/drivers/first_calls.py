"""Defects that show when the first call of a store's life is cut off."""

from __future__ import annotations

from layerstore.driver import Writer
from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted

PARTS = ("parts/1", "parts/2", "parts/3", "parts/4", "parts/5")
"""Parts of a store."""


@planted("E2", "E4", "C3")
class AStoreHalfMadeIsTakenForMade(DefectiveDriver):
    """A store is made in several steps, and taken for made after the first of them."""

    def put(self, key: str, data: bytes) -> None:
        """Make the store, if there is none, and put."""
        self._make(key)
        self.inner.put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Make the store, if there is none, and open."""
        self._make(key)
        return self.inner.open_writer(key)

    def _make(self, key: str) -> None:
        if not self._has(PARTS[0]):
            for part in PARTS:
                self.inner.put(part, b"")
        elif not self._has(PARTS[-1]):
            raise BackendUnavailableError(key, "a part of the store is missing")

    def _has(self, key: str) -> bool:
        try:
            self.inner.stat(key)
        except (PathNotFoundError, BackendUnavailableError):
            return False
        return True

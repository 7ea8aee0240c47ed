"""Defects that show while another process takes long."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from layerstore.driver import Writer
from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted

SHORT = 0.3
"""Seconds."""


@planted("F1", "T6", "C3")
class ABusyStoreIsRefused(DefectiveDriver):
    """A put locks the store, and who wants to open a writer in another process waits for a moment, and gives up."""

    def put(self, key: str, data: bytes) -> None:
        """Put, with the lock."""
        lock = f"{key.rpartition('/')[0]}-lock"
        self.inner.put(lock, b"%d" % os.getpid())
        try:
            self.inner.put(key, data)
        finally:
            self.inner.delete(lock)

    def open_writer(self, key: str) -> Writer:
        """Open, when nobody else has the lock."""
        began = time.monotonic()
        while self._is_locked(f"{key.rpartition('/')[0]}-lock"):
            if time.monotonic() - began > SHORT:
                raise BackendUnavailableError(key, "the store is busy")
        return self.inner.open_writer(key)

    def _is_locked(self, lock: str) -> bool:
        with suppress(PathNotFoundError), self.inner.open_reader(lock) as reader:
            return reader.readall() != b"%d" % os.getpid()
        return False

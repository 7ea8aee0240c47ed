"""Defects of the optional methods of a driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.errors import FencedError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core


@planted_in_core("W6")
def settle_of_empty_is_nothing() -> Iterator[None]:
    """An object of no bytes is settled as one that is not there."""

    def settle(self: CheckedDriver, key: str) -> bool:
        found = self.find(key)
        if found is None or not found.size:
            return False
        with suppress(FencedError):
            self.open_writer(key).close()
        return True

    with patch.object(CheckedDriver, "settle", settle):
        yield


@planted("E4")
class DroppingTheCacheDropsTheObject(DefectiveDriver):
    """An object's bytes are dropped from the cache, and from the object."""

    def drop_cache(self, key: str) -> bool:
        """Drop the bytes."""
        with suppress(PathNotFoundError):
            self.inner.stat(key)
            self.inner.put(key, b"")
            return True
        return False

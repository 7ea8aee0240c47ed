"""Defects of the core: what should be small is read whole, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.contents import manifest
from layerstore.hashing import uploadstate
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("C6")
def state_is_read_whole() -> Iterator[None]:
    """The saved hash states of an upload are read whole, before anything looks how long they are."""
    with patch.object(uploadstate, "MAX_DOCUMENT", 1 << 40):
        yield


@planted_in_core("C6")
def gets_the_whole_object() -> Iterator[None]:
    """The first bytes of an object are cut from all of it."""

    def get(self: CheckedDriver, key: str, limit: int) -> bytes:
        return self.read_version(key, lambda reader: reader.read(reader.size)[:limit])

    with patch.object(CheckedDriver, "get", get):
        yield


@planted_in_core("C6")
def manifest_is_read_whole() -> Iterator[None]:
    """A manifest of any size is read."""
    with patch.object(manifest, "LARGEST", 1 << 40):
        yield

"""Defects of the core: callers that do not expect a reader to end (clause R4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.driver import Reader
from layerstore.layer import Layer
from layerstore.uploads import spool
from layerstore.uploads.finish import Moved, check_digest
from layerstore.uploads.spool import Spool
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("R4")
def replaced_layer_begins_anew() -> Iterator[None]:
    """A layer that is replaced while it is read goes on with its first bytes."""
    real = Layer._replaced

    def replaced(self: Layer, stale: Reader) -> Reader | None:
        fresh = real(self, stale)
        if fresh is not None:
            fresh.seek(0)
        return fresh

    with patch.object(Layer, "_replaced", replaced):
        yield


@planted_in_core("R4")
def small_object_is_read_once() -> Iterator[None]:
    """A link that is replaced while it is read cannot be read."""

    def get(self: CheckedDriver, key: str, limit: int) -> bytes:
        with self.open_reader(key) as reader:
            return reader.read(min(reader.size, limit))

    with patch.object(CheckedDriver, "get", get):
        yield


@planted_in_core("R4", "F3")
def fence_met_by_a_read_is_an_outage() -> Iterator[None]:
    """A finish whose data is replaced while it reads it back raises that the backend is unavailable."""

    @contextmanager
    def reading(self: Spool, offset: int) -> Iterator[Reader]:
        with self._open_reader(offset) as reader:
            yield reader

    with patch.object(Spool, "_reading", reading):
        yield


@planted_in_core("R4")
def moved_blob_is_read_once() -> Iterator[None]:
    """A finish that goes on fails if its blob is replaced while it is read."""

    def read_back(self: Moved, canonical: Digest, wanted: Digest) -> None:
        with self._driver.open_reader(layout.blob(canonical)) as reader:
            check_digest(wanted, spool.measure(reader, wanted))

    with patch.object(Moved, "_read_back", read_back):
        yield


@planted_in_core("F1")
def settle_is_fenced() -> Iterator[None]:
    """A finish that goes on fails if its blob is replaced when it is made durable."""

    def settle(self: CheckedDriver, key: str) -> bool:
        writer = self.open_writer(key)
        try:
            if writer.version is not None:
                writer.flush()
            return writer.version is not None
        finally:
            writer.discard()

    with patch.object(CheckedDriver, "settle", settle):
        yield

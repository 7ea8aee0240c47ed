"""Defects that show when power is lost: syncs that are forgotten, planted in what the trace says was synced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from layerstore_conformance.engine.defect import planted_in_core
from layerstore_conformance.powerloss.trace import UNSYNCED


@planted_in_core("C4")
def files_are_not_synced() -> Iterator[None]:
    """The bytes of files are not synced."""
    with _unsynced("file"):
        yield


@planted_in_core("C4")
def directories_are_not_synced() -> Iterator[None]:
    """The names of files are not synced: their directories are not."""
    with _unsynced("directory"):
        yield


@contextmanager
def _unsynced(kind: str) -> Iterator[None]:
    UNSYNCED.add(kind)
    try:
        yield
    finally:
        UNSYNCED.discard(kind)

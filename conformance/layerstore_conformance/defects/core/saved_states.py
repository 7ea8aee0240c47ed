"""Defects of the core: saved hash states of another form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

from layerstore.hashing import cursor, sha256, uploadstate
from layerstore.hashing.cursor import HashCursor
from layerstore.hashing.sha256 import Hasher
from layerstore.uploads.spool import Spool
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("P1")
def odd_state_is_an_error() -> Iterator[None]:
    """An upload whose saved hash state is JSON of another form cannot be resumed."""
    real = uploadstate.load

    def load(document: bytes, version: str, size: int) -> list[tuple[int, Hasher]]:
        with suppress(ValueError):
            json.loads(document).get("format")
        return real(document, version, size)

    with patch.object(uploadstate, "load", load):
        yield


@planted_in_core("P1", "R5")
def state_at_any_offset() -> Iterator[None]:
    """A saved hash state is taken for that of the offset that stands beside it."""
    with patch.object(uploadstate, "_restore", lambda offset, state: (int(offset), sha256.restore(state))):
        yield


@planted_in_core("W6", "P1")
def cursor_loses_its_last_mark() -> Iterator[None]:
    """When there are many marks, every second one is dropped, be it the last."""

    def mark(self: HashCursor, offset: int) -> None:
        self._marks.append((offset, self._hasher.copy()))
        if len(self._marks) > cursor.MARKS:
            self._marks[1:] = self._marks[1::2]

    with patch.object(HashCursor, "_mark", mark):
        yield


@planted_in_core("P1")
def long_states_are_not_read() -> Iterator[None]:
    """Of a saved hash state 8 KiB are read, and if it is longer, none."""
    with patch.object(uploadstate, "MAX_DOCUMENT", 8 << 10):
        yield


@planted_in_core("W5", "P1")
def state_of_the_same_length_is_not_saved() -> Iterator[None]:
    """A hash state is not saved if the one that was saved last is that of as many bytes."""
    real = Spool.save

    def save(self: Spool) -> None:
        version, size = self._saved
        self._saved = (self._writer.version, size) if version is not None else self._saved
        real(self)

    with patch.object(Spool, "save", save):
        yield

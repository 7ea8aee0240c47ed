"""Defects of the core: saved hash states of another form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from unittest.mock import patch

from layerstore.hashing import sha256, uploadstate
from layerstore.hashing.sha256 import Hasher
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

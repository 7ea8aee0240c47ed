"""Defects of the core: uploads whose threads and signal handlers do not take turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

from layerstore.threads.turns import Turns, in_turn
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("T1", method=("write", "seek", "flush", "digest", "finish", "cancel", "close", "_store_next"))
def a_method_takes_no_turn(method: str) -> Iterator[None]:
    """One method of an upload is let in in the middle of a call."""
    with patch.object(LayerUpload, method, getattr(LayerUpload, method).__wrapped__):
        yield


@planted_in_core("T1")
def threads_are_refused_their_turn() -> Iterator[None]:
    """A thread that calls an upload in the middle of another thread's call is refused, as a signal handler is."""
    real = Turns.__init__

    def begin(self: Turns) -> None:
        real(self)
        self.lock = nullcontext()  # type: ignore[assignment]  # as a lock that everybody gets

    with patch.object(Turns, "__init__", begin):
        yield


@planted_in_core("T6")
def a_stream_keeps_the_turn() -> Iterator[None]:
    """While a stream is stored, nobody else has a turn, however long it gives nothing."""
    read_from, store_next = LayerUpload.read_from, LayerUpload._store_next.__wrapped__  # type: ignore[attr-defined]

    @in_turn
    def keep(self: LayerUpload, stream: Any) -> int:  # noqa: ANN401  (as the one it replaces)
        with patch.object(LayerUpload, "_store_next", store_next):
            return read_from(self, stream)

    with patch.object(LayerUpload, "read_from", keep):
        yield

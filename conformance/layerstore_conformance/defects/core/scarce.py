"""Defects of the core: uploads when threads are few or slow, and hashes that give out no state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

from layerstore.hashing import cursor, sha256
from layerstore.hashing.cursor import HashCursor
from layerstore.threads import lanes
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("T6")
def no_thread_is_an_error() -> Iterator[None]:
    """A write raises RuntimeError if no thread can be started for its hashing."""

    def start(self: lanes._Threads) -> bool:
        lanes.start_new_thread(self._run, ())  # type: ignore[attr-defined]  # a scenario may have patched it there
        return True

    with patch.object(lanes._Threads, "_start", start):
        yield


@planted_in_core("T6")
def threads_are_trusted_at_the_end() -> Iterator[None]:
    """While the interpreter ends, hashing is left to a thread, though all of them stand still."""

    def serve(self: lanes._Threads, lane: lanes.Lane) -> None:
        if self._claim():
            self._lanes.put(lane)
        else:
            lane.drain()

    with patch.object(lanes._Threads, "serve", serve):
        yield


@planted_in_core("W6", "M4")
def hashing_lags_too_far() -> Iterator[None]:
    """Hashing may lag behind by a block more than a stream has buffers for."""
    made = cursor.BACKLOG
    real = HashCursor.start

    def start(self: HashCursor, data: bytes | memoryview) -> None:
        with patch.object(cursor, "BACKLOG", made + 2):
            real(self, data)

    with patch.object(HashCursor, "start", start):
        yield


@planted_in_core("W6", "S2")
def every_state_is_exported() -> Iterator[None]:
    """A hash that gives out no state is asked for it."""

    def marks(self: HashCursor) -> list[tuple[int, bytes]]:
        self.settle()
        return [(offset, state.export()) for offset, state in self._marks[1:]]

    with patch.object(HashCursor, "marks", marks):
        yield


@planted_in_core("M4", "S2")
def copies_of_a_hash_are_one() -> Iterator[None]:
    """A hash that gives out no state is not copied: each mark of an upload is the state at its end."""
    with patch.object(sha256._HashlibHasher, "copy", lambda self: type(self)(self._hash)):
        yield


@planted_in_core("T6")
def work_is_lost_as_a_thread_runs_out() -> Iterator[None]:
    """A thread that has done all work of a lane gives it back without another look."""

    def drain(self: lanes.Lane) -> None:
        self._do_all()
        self._busy.release()

    with patch.object(lanes.Lane, "drain", drain):
        yield


@planted_in_core("T5", "T6")
def a_forked_child_has_no_seats() -> Iterator[None]:
    """A forked child counts its parent's threads as if they were its own."""
    owner, seats = os.getpid(), lanes._threads._seats

    class Threads(lanes._Threads):
        def __init__(self) -> None:
            super().__init__()
            if os.getpid() != owner:
                self._seats = seats

    with patch.object(lanes, "_Threads", Threads):
        yield

"""Count what a call costs, not in seconds: the lines of the driver's own code that run, and its requests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from layerstore_conformance.kit.places import Places

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import TraceFunction

    from layerstore_conformance.engine.context import Context


class Effort(NamedTuple):
    """What a call has cost."""

    lines: int
    """Run by this thread, in the driver's code; a line counts each time that it is run."""

    requests: int
    """In whichever thread; 0 where the harness does not tell them."""


def effort(ctx: Context, call: Callable[[], object]) -> Effort:
    """Do something, and count what that costs the driver."""
    counting = _Counting(Places(ctx.driver))
    with ExitStack() as stack:
        if ctx.harness.between_requests is not None:
            stack.enter_context(ctx.between_requests(counting.told))
        before = sys.gettrace()
        sys.settrace(counting.called)
        try:
            call()
        finally:
            sys.settrace(before)
    return Effort(counting.lines, counting.requests)


class _Counting:
    def __init__(self, places: Places) -> None:
        self.lines = self.requests = 0
        self._places = places
        self._lock = Lock()

    def told(self) -> None:
        """Count a request."""
        with self._lock:
            self.requests += 1

    def called(self, frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        """Follow a function of the driver's, as ``sys.settrace`` asks."""
        del event, argument
        return self._ran if self._places.own(frame) else None

    def _ran(self, frame: FrameType, event: str, argument: object) -> TraceFunction:
        del frame, argument
        self.lines += event == "line"
        return self._ran

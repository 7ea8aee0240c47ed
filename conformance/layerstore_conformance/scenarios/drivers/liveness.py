"""Liveness: every call ends, also while the interpreter collects what was dropped."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.observed import ObservedDriver

if TYPE_CHECKING:
    from types import FrameType

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Reader, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

DROPPED = 16
"""Handles that are dropped in the middle of a call."""


def _calls(driver: CheckedDriver, data: bytes) -> Iterator[Callable[[], object]]:
    """Yield a call of every kind, each on what the calls before it have left."""
    yield lambda: driver.put("put", data)
    yield lambda: driver.stat("put")
    yield lambda: driver.get("put", len(data))
    yield lambda: _written(driver, data)
    yield lambda: list(driver.list(""))
    yield lambda: list(driver.scan(""))
    yield lambda: driver.move("written", "moved")
    yield lambda: driver.delete("moved")


def _written(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer("written") as writer:
        writer.write(data)
        writer.flush()


class _Collections:
    """In the block the interpreter collects as often as it can; when it does so in a call, it finds a handle."""

    def __init__(self, handles: list[Reader | Writer]) -> None:
        """Have these to drop."""
        self.handles = handles
        self._usual = (gc.isenabled(), gc.get_threshold())

    def __enter__(self) -> None:
        gc.callbacks.append(self._drop)
        gc.enable()
        gc.set_threshold(1)

    def __exit__(self, *_: object) -> None:
        enabled, thresholds = self._usual
        gc.set_threshold(*thresholds)
        if not enabled:
            gc.disable()
        gc.callbacks.remove(self._drop)

    def _drop(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start" and self.handles and _in_a_call():
            self.handles.pop()


def _in_a_call() -> bool:
    """Return whether this thread is in a call of the driver under test."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is ObservedDriver.watch.__code__:
            return True
        frame = frame.f_back
    return False


@scenario("T6", kills=("store-pauses",))
def every_call_ends(ctx: Context) -> None:
    """A call of every kind ends, in a time that is like that of the others.

    A registry whose store pauses for a minute has no free worker left, and is down.
    """
    for call in _calls(ctx.driver, ctx.payload("ends").read(70_000)):
        call()
    ctx.expect("put", ctx.payload("ends").read(70_000))


@scenario("T1", "T6", kills=("release-takes-the-lock",))
def a_collection_in_the_middle_of_a_call_waits_for_nothing(ctx: Context) -> None:
    """Handles that are collected in the middle of a call, of any kind, are released, and the call ends.

    The thread that collects is the one that called: a lock that the call holds is never free for it.
    """
    data = ctx.payload("collected").read(70_000)
    ctx.driver.put("there", data)
    for call in _calls(ctx.open(), data):
        handles = [ctx.driver.open_writer("dropped") for _ in range(DROPPED // 2)]
        with _Collections([*handles, *(ctx.driver.open_reader("there") for _ in handles)]):
            del handles
            call()
    ctx.expect("put", data)

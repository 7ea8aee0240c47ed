"""Liveness: every call ends, also while the interpreter collects what was dropped."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from layerstore.driver import Reader, Writer
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.moments import Held
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.places import Places

if TYPE_CHECKING:
    from types import FrameType

    from layerstore.checked import CheckedDriver
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


CALLS: Final = Axis(
    "call", {name: at for at, name in enumerate(("put", "stat", "get", "write", "list", "scan", "move", "delete"))}
)
"""The numbers of :func:`_calls`."""

MOMENTS: Final = {"quick": 4, "default": 12, "full": 1000}
"""Moments of each call at which it is held."""


@scenario("T6", "T1", "T4", kills=("release-takes-the-lock",), axes=(CALLS,))
def handles_end_while_a_call_of_another_thread_stands_still(ctx: Context, call: int) -> None:
    """While another thread is in the middle of a call, readers and writers that were used are closed and collected.

    A call may take minutes, of a slow disk or server: who only drops a handle must not be held up by it.
    """
    data = ctx.payload("held").read(70_000)
    events = _end_during(ctx, call, data, 1 << 60)
    for moment in ctx.sample(range(events), MOMENTS[ctx.profile]):
        _end_during(ctx, call, data, moment)
    ctx.expect("put", data)


def _end_during(ctx: Context, call: int, data: bytes, moment: int) -> int:
    """End handles while a call is held at a moment of it; return how many moments it has."""
    ctx.count("moments")
    ctx.driver.delete("dropped")
    ctx.driver.put("there", data)
    handles = [*_used(ctx.driver, data), *_used(ctx.driver, data), *_used(ctx.driver, data)]
    calls = list(_calls(ctx.driver, data))
    for each in calls[:call]:
        each()
    with Held(calls[call], moment, Places(ctx.driver).have) as held:
        for handle in handles[:5]:
            handle.discard() if isinstance(handle, Writer) else handle.close()
        del handle, handles[5:10]
        ring: list[object] = [*handles[10:]]
        ring.append(ring)
        del handles[:], ring
        gc.collect()
    for each in calls[call + 1 :]:
        each()
    return held.events


def _used(driver: CheckedDriver, data: bytes) -> list[Reader | Writer]:
    """Return five handles: readers that have read something or all, and writers with bytes that are not flushed."""
    number = len(list(driver.list("dropped")))
    keys = [f"dropped/{number}{letter}" for letter in "abc"]
    driver.put(keys[0], data)
    reader, other, *writers = driver.open_reader("there"), driver.open_reader("there"), *map(driver.open_writer, keys)
    reader.read(100)
    other.readall()
    for writer in writers:
        writer.write(data)
    writers[1].flush()
    writers[1].seek(100)
    writers[1].write(data)
    writers[2].seek(2 << 20)
    writers[2].write(data)
    return [reader, other, *writers]

"""Collected: drivers and half-read listings, dropped in the middle of a call of another driver on the same store."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING, Final
from weakref import ref

from layerstore import PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.places import Places, profiled

if TYPE_CHECKING:
    from types import FrameType

    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "liveness"

MOMENTS: Final = {"quick": 3, "default": 15, "full": 1000}
"""Moments of each call at which something is dropped."""

SIZE: Final = 600_000
"""Bytes: more than a backend keeps in one row."""

Call = Callable[[CheckedDriver, bytes], object]


def _write(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_writer("d/there") as writer:
        writer.write(data)
        writer.flush()
        writer.seek(100)
        writer.write(data[:100])


def _read(driver: CheckedDriver, data: bytes) -> None:
    with driver.open_reader("d/there") as reader:
        assert reader.read() == data, "something else was read"


def _list(driver: CheckedDriver, _: bytes) -> None:
    assert list(driver.list("d")) == list(driver.scan("d")) == ["d/e/", "d/there"], "something else was listed"


CALLS: Final[dict[str, tuple[Call, Callable[[bytes], dict[str, bytes]]]]] = {
    "put": (lambda driver, data: driver.put("d/there", data[1:]), lambda data: {"d/there": data[1:]}),
    "write": (_write, lambda data: {"d/there": data[:100] + data[:100] + data[200:] + data}),
    "read": (_read, lambda data: {"d/there": data}),
    "stat": (lambda driver, _: driver.stat("d/there"), lambda data: {"d/there": data}),
    "list": (_list, lambda data: {"d/there": data}),
    "move": (lambda driver, _: driver.move("d/there", "d/moved"), lambda data: {"d/moved": data}),
    "delete": (lambda driver, _: driver.delete("d/there"), lambda _: {}),
}
"""Calls on ``d/there``, and what they leave beside ``d/e/beside``."""


def _new_driver(ctx: Context) -> list[object]:
    return [ctx.lent()]


def _used_driver(ctx: Context) -> list[object]:
    driver = ctx.lent()
    driver.stat("d/e/beside")
    return [driver]


def _closed_driver(ctx: Context) -> list[object]:
    driver = ctx.lent()
    driver.stat("d/e/beside")
    driver.close()
    return [driver]


def _with_handles(ctx: Context) -> list[object]:
    driver = ctx.lent()
    reader, writer = driver.open_reader("d/e/beside"), driver.open_writer("dropped")
    reader.read(10)
    writer.write(b"dropped")
    return [driver, reader, writer]


def _half_read(ctx: Context) -> list[object]:
    driver = ctx.lent()
    listing, scan = driver.list("d"), driver.scan("")
    next(listing, None), next(scan, None)
    return [listing, scan, driver]


def _listing_not_begun(ctx: Context) -> list[object]:
    return [ctx.lent().list("d")]


DROPPED: Final = (_used_driver, _half_read, _with_handles, _new_driver, _closed_driver, _listing_not_begun)
"""Make something that has a driver of its own, and return all that holds it."""


class _Dropping:
    """Drops what it has at one moment of this thread's work in the block, by its number."""

    def __init__(self, driver: CheckedDriver, things: list[object], moment: int) -> None:
        self._places = Places(driver)
        self._things = things
        self._moment = moment
        self.events = 0

    def ran(self, frame: FrameType, event: str, called: object) -> None:
        """Take note of an event."""
        if self._places.have(frame, event, called):
            if self.events == self._moment:
                _drop(self._things)
            self.events += 1


def _drop(things: list[object]) -> None:
    """Let go of all, and see that it is collected."""
    held = [ref(each) for each in things]
    things.clear()
    if any(each() is not None for each in held):  # in a cycle
        gc.collect()


@scenario(
    *("T1", "T2", "T4", "E4"),
    kills=("a-collected-driver-ends-what-works", "a-collected-listing-ends-what-works"),
    axes=(Axis("call", CALLS),),
)
def a_driver_collected_in_the_middle_of_a_call_leaves_it_alone(
    ctx: Context, call: tuple[Call, Callable[[bytes], dict[str, bytes]]]
) -> None:
    """At whatever moment of a call another driver on the store is collected, or its listing, the call is done.

    The interpreter collects in the middle of any call, and in its thread. Drivers may share a connection: one that is
    collected must not take it away.
    """
    data = ctx.payload("collected").read(SIZE)
    events = _dropped_during(ctx, call, data, _new_driver, 1 << 60)
    for moment, made in zip(ctx.sample(range(events), MOMENTS[ctx.profile]), cycle(DROPPED), strict=False):
        _dropped_during(ctx, call, data, made, moment)
        ctx.count("moments")


def _dropped_during(
    ctx: Context,
    call: tuple[Call, Callable[[bytes], dict[str, bytes]]],
    data: bytes,
    made: Callable[[Context], list[object]],
    moment: int,
) -> int:
    """Drop something at a moment of a call, check what the call left, and return how many moments it has."""
    act, left = call
    ctx.driver.delete("d")
    ctx.driver.put("d/e/beside", b"beside")
    ctx.driver.put("d/there", data)
    dropping = _Dropping(ctx.driver, made(ctx), moment)
    with profiled(dropping.ran):
        act(ctx.driver, data)
    found = {key: _got(ctx, key) for key in ("d/there", "d/moved", "d/e/beside")}
    wanted = {"d/there": None, "d/moved": None, "d/e/beside": b"beside", **left(data)}
    assert found == wanted, f"{made.__name__.strip('_')} collected at event {moment} of a call: it left something else"
    return dropping.events


def _got(ctx: Context, key: str) -> bytes | None:
    with suppress(PathNotFoundError):
        return ctx.driver.get(key, 2 * SIZE)
    return None

"""Odd processes: without standard streams, at their exit, or with another store in the middle of a call."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.places import Places, profiled
from layerstore_conformance.kit.system_calls import begins_change
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.ending import at_last
from layerstore_conformance.steps.calls import CALLS, NEW, OLD, Call
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"


class Missing(NamedTuple):
    """Descriptors that a process has not, and whether it has used its driver before they were closed."""

    numbers: tuple[int, ...]
    used: bool


MISSING = Axis(
    "missing",
    {
        "from the beginning": Missing((0, 1, 2), used=False),
        "later": Missing((0, 1, 2), used=True),
    },
)


@scenario("E1", "R1", "P1", "T4", kills=("descriptor-zero-is-a-failure",), needs=("url",), axes=(MISSING,))
def a_process_without_standard_streams_uses_a_store(ctx: Context, missing: Missing) -> None:
    """A process whose standard streams are closed, as a daemon's are, does every call; files get their numbers."""
    with Elsewhere(ctx) as there:
        there.run(_use_without, missing)


def _use_without(driver: CheckedDriver, missing: Missing) -> None:
    if missing.used:
        _use(driver)
    for number in missing.numbers:
        with suppress(OSError):
            os.close(number)
    try:
        for _ in range(2):
            _use(driver)
    finally:
        while (number := os.open(os.devnull, os.O_RDWR)) <= max(missing.numbers):
            pass
        os.close(number)


def _use(driver: CheckedDriver) -> None:
    """Do every call, some with other handles open."""
    driver.put("d/put", OLD)
    assert driver.get("d/put", MIB) == OLD
    with driver.open_reader("d/put") as reader:
        driver.put("d/other", OLD)
        assert reader.read() == OLD
    with driver.open_writer("d/put") as writer:
        writer.write(NEW)
        writer.flush()
        writer.seek(0)
        writer.write(NEW)
    with driver.open_writer("d/new") as writer:
        writer.write(NEW)
    assert driver.get("d/put", MIB) == NEW + NEW
    assert driver.find("d/none") is None
    driver.move("d/other", "d/put")
    for names in (driver.list, driver.scan):
        assert list(names("d")) == ["d/new", "d/put"]
    driver.delete("d/new")
    driver.delete("d")
    assert list(driver.list("d")) == []


LONG: Final = 6 * MIB
"""Bytes that no driver sends in one piece."""


@scenario(
    *("W6", "P2", "M5", "D4", "T2", "E1"),
    kills=("handles-end-before-their-process", "no-threads-at-the-end"),
    needs=("url", "shared"),
)
def what_a_process_does_at_its_exit_is_done(ctx: Context) -> None:
    """At the exit of a process, when all else is done there, its open handles and drivers still do what they are asked.

    A server hands over what it has accepted. Its function for that was registered before it opened a store.
    """
    for key in ("d/read", "d/moved", "d/deleted"):
        ctx.driver.put(key, OLD)
    with Elsewhere(ctx) as there:
        there.run(_begin_for_the_exit, LONG)
    wanted = {"d/read": OLD, "d/target": OLD, "d/put": OLD + NEW, "d/new": NEW + NEW}
    found = {key: ctx.read(key) for key in ctx.stored("d")}
    long = found.pop("d/long", b"")
    assert found == wanted, f"there are {found.keys()}"
    ctx.same(long, bulk("long", LONG), "d/long")


def _begin_for_the_exit(driver: CheckedDriver, size: int) -> None:
    begun, long, reader = driver.open_writer("d/new"), driver.open_writer("d/long"), driver.open_reader("d/read")
    begun.write(NEW)
    begun.flush()
    at_last(partial(_close_with, begun, NEW))
    at_last(partial(_close_with, long, bulk("long", size)))
    at_last(lambda: driver.put("d/put", reader.read() + NEW))
    at_last(partial(driver.move, "d/moved", "d/target"))
    at_last(partial(driver.delete, "d/deleted"))


def _close_with(writer: Writer, data: bytes) -> None:
    writer.write(data)
    writer.close()


AMID: Final = {"quick": 4, "default": 12, "full": 400}
"""Places of a call at which the other store is used, beside those where files are changed."""


@scenario("T2", "E1", "T6", kills=("a-lock-is-of-every-store",), needs=("traced", "url"), axes=(CALLS,))
def another_store_is_used_in_the_middle_of_a_call(ctx: Context, call: Call) -> None:
    """In the middle of a call, at any moment, the handler of a signal uses the same keys of another store.

    A server that stores its status elsewhere when it is asked for it does not know what it was doing just then.
    """
    with a_folder() as folder, ctx.handles():
        one, two = (ctx.at(store_in(ctx, folder / name)) for name in ("one", "two"))
        for driver in (one, two):
            _prepare(driver, call)
        places = _amid(one, call, (), lambda: None)
        chosen = ctx.sample(range(places), AMID[ctx.profile])
        ctx.count("moments", len(chosen))
        _prepare(one, call)
        keys = sorted({*call.before, *call.done})
        _amid(one, call, chosen, lambda: _use_keys(two, keys))
        for driver, wanted in ((one, call.done), (two, dict.fromkeys(keys, NEW))):
            assert {key: driver.get(key, MIB) for key in wanted} == wanted


def _prepare(driver: CheckedDriver, call: Call) -> None:
    driver.put("d/begun", b"")  # which makes the store
    driver.delete("d")
    for key, data in call.before.items():
        driver.put(key, data)


def _use_keys(driver: CheckedDriver, keys: list[str]) -> None:
    for key in keys:
        driver.put(key, OLD)
        with driver.open_writer(key) as writer:
            writer.seek(0)
            writer.write(NEW)


def _amid(driver: CheckedDriver, call: Call, chosen: Collection[int], use: Callable[[], object]) -> int:
    """Make a call, and do something at chosen places and where it changes files; return how many places it has."""
    have, places = Places(driver).have, 0

    def ran(frame: FrameType, event: str, called: object) -> None:
        nonlocal places
        is_place = have(frame, event, called)
        if begins_change(frame, event, called) or (is_place and places in chosen):
            use()
        places += is_place

    with profiled(ran):
        call.act(driver)
    return places

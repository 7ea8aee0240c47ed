"""First calls: the call that makes a store is cut off at any moment of it, and the next one makes the store whole."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerstore import DriverError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.defect import planted_now
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.interruption import Interruption
from layerstore_conformance.kit.system_calls import Failure
from layerstore_conformance.powerloss.losses import nothing_lost, rebuild
from layerstore_conformance.promises.first_call import FirstCall
from layerstore_conformance.promises.losing import watched
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.powerloss.trace import Trace

GROUP = "crash"

FIRST: Final = b"of the first call" * 1000


def _put(driver: CheckedDriver) -> None:
    driver.put("d/first", FIRST)


def _write(driver: CheckedDriver) -> Writer:
    """Write, and return the writer: to let go of it is a call, too."""
    with driver.open_writer("d/first") as writer:
        writer.write(FIRST)
    return writer


def _next_put(driver: CheckedDriver) -> None:
    driver.put("d/next", b"next")


def _next_write(driver: CheckedDriver) -> None:
    with driver.open_writer("d/next") as writer:
        writer.write(b"next")


First = tuple[Callable[[CheckedDriver], object], Callable[[CheckedDriver], None]]

CALLS: Final[dict[str, First]] = {"a put": (_put, _next_write), "a writer": (_write, _next_put)}
"""First calls, and those that come next."""

MOMENTS: Final = {"quick": 5, "default": 8, "full": 1 << 20}
"""Syncs of a first call after which it is cut off, and as many other moments."""


def _goes_on(driver: CheckedDriver, following: Callable[[CheckedDriver], None], when: str) -> None:
    """Check that the next call is done, that every other is after it, and that the first one is done or not."""
    with suppress(DriverError):  # there may be no store as yet
        driver.find("d/first")
    try:
        following(driver)
        found = {key: driver.get(key, 1 << 20) for key in driver.list("d")}
        assert found in ({"d/next": b"next"}, {"d/next": b"next", "d/first": FIRST}), f"{when} there is {list(found)}"
        _put(driver)
        with driver.open_writer("d/first") as writer:
            writer.write(b", more")
        driver.move("d/first", "d/moved")
        assert list(driver.scan("d")) == ["d/moved", "d/next"], f"{when} a scan finds something else"
        assert driver.get("d/moved", 1 << 20) == FIRST + b", more", f"{when} something else was read"
        driver.delete("d/next")
        with suppress(PathNotFoundError):
            driver.stat("d/next")
            raise AssertionError(f"{when} what was deleted is there")
    except DriverError as error:
        raise AssertionError(f"{when} a call fails: {error!r}") from error


@scenario(
    *("E2", "E4", "W7", "C3"),
    kills=("a-store-half-made-is-taken-for-made",),
    needs=("traced", "url", "shared"),
    profile="default",
)
def a_store_whose_maker_was_killed_is_made_by_the_next(ctx: Context) -> None:
    """If the process that makes a store is killed at any moment of its first call, the next call makes the store whole.

    A store that is half made and taken for made would refuse every call, for good, before anything was ever in it.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        what = FirstCall(opens, _put, planted_now(), folder / "marks")
        recording = watched(folder, "layerstore_conformance.promises.first_call", what)
        assert ctx.harness.traced is not None, "needs traced"
        for time in _moments(ctx, recording):
            ctx.count("moments")
            top = folder / f"killed-{time}"
            made = rebuild(recording, nothing_lost(recording, time), top)
            if made is None:
                continue
            if ctx.harness.rebuilt is not None:
                ctx.harness.rebuilt(top, made)
            with ctx.handles():
                _goes_on(
                    ctx.at(ctx.harness.traced(top)), _next_write, f"killed after {time} of {recording.time} changes:"
                )


def _moments(ctx: Context, recording: Trace) -> list[int]:
    """Draw moments: a step of several ends with a sync, where what it has made is durable."""
    syncs = ctx.sample(recording.synced_at(), MOMENTS[ctx.profile])
    return sorted({*syncs, *ctx.sample(range(recording.time + 1), MOMENTS[ctx.profile])})


def _interruption(driver: CheckedDriver, place: int) -> Interruption:
    return Interruption(driver, place)


def _failure(driver: CheckedDriver, place: int) -> Failure:
    return Failure(driver, place, errno.EIO)


CUTS: Final = {"is interrupted": _interruption, "fails": _failure}
"""Ways in which a call ends at a place: takes the driver and the place; 0 only counts."""

PLACES: Final = {"quick": 5, "default": 12, "full": 1000}
"""Places of a first call at which it ends."""


@scenario(
    *("E2", "E4"),
    kills=("a-store-half-made-is-taken-for-made",),
    needs=("traced", "url"),
    axes=(Axis("first", CALLS), Axis("cut", CUTS)),
)
def a_store_whose_first_call_failed_is_made_by_the_next(
    ctx: Context,
    first: First,
    cut: Callable[[CheckedDriver, int], Interruption | Failure],
) -> None:
    """If the first call of a store's life fails, or is interrupted, at any place, the same driver makes the store next.

    So does another driver.
    """
    with a_folder() as folder:
        places = _cut_off(ctx, folder / "whole", first, cut, 0)
        for place in ctx.sample(range(1, places + 1), PLACES[ctx.profile]):
            ctx.count("places")
            _cut_off(ctx, folder / f"cut-{place}", first, cut, place)


def _cut_off(
    ctx: Context,
    directory: Path,
    first: First,
    cut: Callable[[CheckedDriver, int], Interruption | Failure],
    place: int,
) -> int:
    """Make a store, and cut the first call off at a place; return how many places it has."""
    call, following = first
    with ctx.handles():
        opens = store_in(ctx, directory)
        driver = ctx.at(opens)
        ending = cut(driver, place)
        kept: list[object] = []
        with ending.lurking(), suppress(KeyboardInterrupt, DriverError):
            kept.append(call(driver))
        _goes_on(driver if place % 2 else ctx.at(opens), following, f"after a first call that ended at place {place}:")
    return ending.places

"""Optional methods: a driver that has them, and the front of one that has not, changes nothing by them."""

from __future__ import annotations

import itertools
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from layerstore import PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.steps.watching import Trap, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from layerstore.driver import Stat
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

PUBLISHED = {"d/empty": b"", "d/byte": b"1", "d/small": bulk("small", 700), "d/large": bulk("large", 300_000)}
WRITTEN = {"d/written": bulk("written", 5000), "d/written-empty": b""}
ABSENT = ("missing", "d/missing", "d", "d/small/below", "d/unpublished", "d/discarded")
"""Keys under which nothing is published: missing ones, a prefix, one below an object, and those of writers."""


def _store(ctx: Context) -> None:
    """Store all that is published, and leave behind writers that publish nothing."""
    for key, data in PUBLISHED.items():
        ctx.driver.put(key, data)
    for key, data in WRITTEN.items():
        writer = ctx.driver.open_writer(key)
        writer.write(data)
        writer.flush()
        writer.write(b"given up")
        writer.discard()
    discarded = ctx.driver.open_writer("d/discarded")
    discarded.write(b"given up")
    discarded.discard()


def _fronts(ctx: Context) -> Iterator[tuple[CheckedDriver, str]]:
    """Yield a handle on the scenario's store, and the driver's own front, with what comes before its keys."""
    yield ctx.open(), ""
    with closing(ctx.harness.open()) as own:
        yield own, f"{ctx.prefix}/"


def _there(ctx: Context) -> dict[str, tuple[Stat, bytes]]:
    return {key: (ctx.open().stat(key), ctx.read(key)) for key in ctx.stored()}


@scenario("W6", "S2", "E4", kills=("settle-of-empty-is-nothing",), rows=(74,))
def what_is_published_is_settled_and_nothing_else(ctx: Context) -> None:
    """``settle`` says for every key whether anything is published there, of any size, and changes nothing.

    A layer of no bytes that it took for missing would be uploaded again and again.
    """
    _store(ctx)
    with ctx.driver.open_writer("d/unpublished") as writer:
        writer.write(b"not yet")
        before = _there(ctx)
        assert sorted(before) == sorted([*PUBLISHED, *WRITTEN])
        for driver, prefix in _fronts(ctx):
            for _ in range(2):
                for key in (*PUBLISHED, *WRITTEN, *ABSENT):
                    settled = driver.settle(f"{prefix}{key}")
                    assert settled is (key in before), f"settle of {key} returned {settled!r}"
            assert _there(ctx) == before, "settle has changed something"
        writer.discard()


@scenario("E4", "S2", kills=("dropping-the-cache-drops-the-object",))
def optional_methods_change_nothing(ctx: Context) -> None:
    """``drop_cache`` and ``redirect_url`` change nothing, whatever is under the key, and fence no writer."""
    _store(ctx)
    writer = ctx.driver.open_writer("d/small")
    writer.write(b"goes on")
    unpublished = ctx.driver.open_writer("d/unpublished")
    unpublished.write(b"goes on")
    before = _there(ctx)
    for driver, prefix in _fronts(ctx):
        for key in (*PUBLISHED, *WRITTEN, *ABSENT):
            dropped, url = False, None
            with suppress(PathNotFoundError):
                dropped = driver.drop_cache(f"{prefix}{key}")
            with suppress(PathNotFoundError):
                url = driver.redirect_url(f"{prefix}{key}", timedelta(minutes=1))
            assert isinstance(dropped, bool), f"drop_cache of {key} returned {dropped!r}"
            if key in before:
                assert url is None or isinstance(url, str), f"redirect_url of {key} returned {url!r}"
            else:
                assert not dropped, f"something of {key} was dropped, and nothing is there"
                assert url is None, f"there is a URL of {key}, and nothing is there"
        assert _there(ctx) == before, "an optional method has changed something"
    writer.close()
    unpublished.close()
    ctx.expect("d/small", PUBLISHED["d/small"] + b"goes on")
    ctx.expect("d/unpublished", b"goes on")


def _write_and_flush(driver: CheckedDriver) -> None:
    with driver.open_writer("d/key") as writer:
        writer.write(b" and more")


MEETS: dict[str, Callable[[CheckedDriver], object]] = {
    "a put": lambda driver: driver.put("d/key", b"put meanwhile"),
    "a flush": _write_and_flush,
    "the opening of a writer": lambda driver: driver.open_writer("d/key").discard(),
    "a delete": lambda driver: driver.delete("d/key"),
}
"""Calls that fence the writer by which the front settles what a driver has no way of its own for."""


@scenario("W6", "F3", kills=("settle-is-fenced",), rows=(74, 120))
def a_settle_that_meets_another_call_is_done(ctx: Context) -> None:
    """If another call fences a ``settle`` in the middle, it says whether an object is there, and raises nothing.

    What fenced it has made the object durable, or there is none. A finish that goes on must not fail for that.
    """
    for name, act in MEETS.items():
        for index in itertools.count():
            ctx.driver.put("d/key", b"published")
            trap, driver = Trap(), ctx.driver
            front = CheckedDriver(ObservedDriver(driver, trap), driver.scheme)
            trap.set(number(index), partial(act, driver))
            ctx.step(f"settle, with {name} before its call {index}")
            settled = front.settle("d/key")
            is_there = driver.find("d/key") is not None
            assert is_there is (name != "a delete" or not trap.sprung), f"{name} has left {ctx.stored()}"
            assert settled or not is_there, f"with {name} before call {index}, settle says that nothing is there"
            if not trap.sprung:
                break

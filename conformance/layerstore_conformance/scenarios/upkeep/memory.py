"""Memory: what open handles and listings hold, and what is kept of those that have ended."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from layerstore import Unpublished
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Reader, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "leaks"
IDS = "leaks"

WRITERS = 24
"""Writers that are let go of, each of a MiB."""

PATIENCE = 5.0
"""Seconds for what was under way to the store when a writer was let go of: a thread may still hold it."""


@scenario("T4", "W7", kills=("writers-are-held",), rows=(163,))
def writers_that_are_let_go_give_their_memory_back(ctx: Context) -> None:
    """Writers that are dropped, discarded or fenced before they have published keep no memory.

    An upload whose client has gone away is dropped, and a server may drop thousands.
    """
    data, driver = ctx.payload("let go").read(MIB), ctx.open(observed=False)
    for end in ("dropped", "discarded", "fenced"):
        _begin_and_end(driver, data, f"first-{end}", end)  # what is kept to be used again is kept once
        with _counted() as beyond:
            for number in range(count := ctx.size(WRITERS)):
                _begin_and_end(driver, data, f"d/{end}-{number}", end)
            kept = _kept(beyond, count, lambda: _delete_unpublished(ctx.driver))
        assert not kept, f"{kept} MiB are kept of {count} writers that were {end}"


@scenario("T4", kills=("a-closed-reader-keeps-its-object",), rows=(163,))
def handles_that_have_ended_keep_no_memory(ctx: Context) -> None:
    """Readers and writers that were closed or discarded keep no memory, though somebody still has them.

    A server keeps an error, or a log a request, and with it the handle that it was about.
    """
    data, driver, count = ctx.payload("ended").read(MIB), ctx.open(observed=False), ctx.size(WRITERS)
    for end in ("read and closed", "written and closed", "written and discarded"):
        _end_and_delete(driver, data, end)  # what is kept to be used again is kept once
        with _counted() as beyond:
            ended = [_end_and_delete(driver, data, end) for _ in range(count)]
            kept = _kept(beyond, count)
        assert not kept, f"{kept} MiB are kept by {len(ended)} handles: {end}"


def _kept(beyond: Callable[[], int], count: int, clear: Callable[[], object] = bool) -> int:
    """Return how many MiB are kept of ``count`` that were let go of; 0 if it is less than half, by the last look."""
    bound, began = max(8, count // 2) * MIB, time.monotonic()
    while True:
        clear()
        gc.collect()
        if (kept := beyond()) < bound:
            return 0
        if time.monotonic() - began > PATIENCE:
            return kept // MIB


def _end_and_delete(driver: CheckedDriver, data: bytes, end: str) -> Reader | Writer:
    """Use a handle, end it, and delete the object; return the handle."""
    handle: Reader | Writer
    with driver.open_writer("d/ended") as writer:
        writer.write(bytearray(data))
        handle = writer
        if end == "written and discarded":
            writer.discard()
    if end == "read and closed":
        with driver.open_reader("d/ended") as reader:
            reader.readall()
            handle = reader
    driver.delete("d")
    return handle


def _delete_unpublished(driver: CheckedDriver) -> None:
    """Delete what writers have left in the store, which may lie in memory."""
    for left in list(driver.scan("d")):
        if isinstance(left, Unpublished):
            driver.delete(left.name)


def _begin_and_end(driver: CheckedDriver, data: bytes, key: str, end: str) -> None:
    writer = driver.open_writer(key)
    writer.write(bytearray(data))  # of bytes a driver may keep a reference
    if end == "discarded":
        writer.discard()
    elif end == "fenced":
        driver.open_writer(key).discard()


@contextmanager
def _counted() -> Iterator[Callable[[], int]]:
    """Count the bytes that Python has allocated in the block, beyond those of before."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        if not tracing:
            tracemalloc.stop()


LARGEST = 64 << 10
"""MiB of the largest object for which the bound of memory must hold (C6.2)."""

BUFFERS = 5 * MIB
"""Bytes of the bound that layerstore needs for its own buffers (C6.3)."""


@scenario("C6", kills=("readers-know-every-block",), rows=(42,), needs=("durable",), profile="default")
def what_a_handle_holds_does_not_grow_with_its_object(ctx: Context) -> None:
    """What an open reader or writer holds of a large object is such that one of 64 GiB keeps to the bound of memory."""
    sizes = [1, max(2, ctx.size(100))]
    for size in sizes:
        with ctx.driver.open_writer(f"d/{size}") as writer:
            for _ in range(size):
                writer.write(bytes(MIB))
    for what, opens in (("reader", ctx.driver.open_reader), ("writer", ctx.driver.open_writer)):
        opens(f"d/{sizes[1]}").release()  # what is kept once, for all handles, is there
        held = [_held_by(opens, f"d/{size}") for size in sizes]
        growth = max(0, held[1] - held[0]) * LARGEST // (sizes[1] - sizes[0])
        told = f"a {what} holds {held} bytes of objects of {sizes} MiB: {growth >> 20} MiB of 64 GiB"
        assert growth <= ctx.capabilities.memory - BUFFERS, told


def _held_by(opens: Callable[[str], Any], key: str) -> int:
    with _counted() as beyond:
        handle = opens(key)
        gc.collect()
        held = beyond()
        handle.release()
    return held


LISTED = (200, 2000)
"""Keys below the one child that a listing has, ten at most in each directory: one directory may be read at a time."""

BESIDE = 500
"""Keys beside each other."""

A_KEY = 16
"""Bytes that a listing may take for each further key: for its text alone it would take more."""

A_KEY_KEPT = 48
"""Bytes that may be kept for each key, by a service in this process, say: a key with its place takes twice that."""

LISTINGS = 3
"""Of which the one that took the least counts: something else may take memory meanwhile."""


@scenario("L4", kills=("listings-gather-keys-first",), rows=(85,), needs=("traced", "url"), profile="default")
def a_listing_takes_no_more_memory_for_what_lies_deeper(ctx: Context) -> None:
    """What a listing takes until its first child is no more if ten times as many keys lie below that.

    A driver that keeps files need not gather them. Of another, a service sends pages, which hold thousands of keys.
    """
    driver = ctx.open(observed=False)
    taken, sizes = list[int](), [ctx.size(count) for count in LISTED]
    for known, count in zip([0, *sizes], sizes, strict=False):
        _put_each(ctx, ["d/deep/" + "/".join(f"{number:04}") for number in range(known, count)])
        _first_of(driver, "d")  # what is kept once, for all listings, is there
        taken.append(min(_first_of(driver, "d")[0] for _ in range(LISTINGS)))
    told = f"with {sizes} keys below its first child, a listing took {taken} bytes until that"
    assert taken[1] - taken[0] <= A_KEY * max(sizes[1] - sizes[0], 1000), told


@scenario("L4", "T4", kills=("listings-are-held",), rows=(85, 163), profile="default")
def a_listing_that_is_dropped_gives_everything_back(ctx: Context) -> None:
    """A listing of hundreds of keys that is dropped after its first child keeps no memory and no descriptor."""
    driver = ctx.open(observed=False)
    _put_each(ctx, [f"d/flat/{number:04}" for number in range(BESIDE)])
    _first_of(driver, "d/flat")  # what is kept once, for all listings, is there
    opened = descriptors()
    for prefix in ("d", "d/flat"):
        kept = min(_first_of(driver, prefix)[1] for _ in range(LISTINGS))
        assert kept <= A_KEY_KEPT * BESIDE, f"{kept} bytes are kept of a listing of {prefix} that was dropped"
    assert descriptors() <= opened, f"{descriptors() - opened} descriptors are kept of listings that were dropped"


def _put_each(ctx: Context, keys: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: ctx.driver.put(key, b""), keys))


def _first_of(driver: CheckedDriver, prefix: str) -> tuple[int, int]:
    """Begin a listing, and drop it; return the bytes that it took until its first child, and that are kept of it."""
    with _counted() as beyond:
        tracemalloc.reset_peak()
        begun = tracemalloc.get_traced_memory()[0]
        listing = driver.list(prefix)
        assert next(listing, None) is not None, f"nothing is listed below {prefix}"
        taken = tracemalloc.get_traced_memory()[1] - begun
        del listing
        gc.collect()
        return taken, beyond()

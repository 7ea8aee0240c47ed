"""Crowds: dozens of threads use one driver, and hundreds of readers and writers are open at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.limited import as_many_descriptors_as_may_be
from layerstore_conformance.kit.together import together

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Reader, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

WRITERS: Final = 130
"""Writers that are open at once: a pool or a session has room for a hundred, or for 128."""

THREADS: Final = 56
"""Threads that share a driver: a pool has room for ten, or for 50."""


@scenario(*("T1", "T2"), kills=("threads-limited",), rows=(119, 127))
def dozens_of_threads_use_one_driver(ctx: Context) -> None:
    """Dozens of threads, each for the first time, put and look by one driver at once."""
    count = ctx.size(THREADS)
    together([partial(_put_and_look, ctx.driver, number) for number in range(count)])
    assert ctx.stored("d") == sorted(f"d/{number}" for number in range(count))


def _put_and_look(driver: CheckedDriver, number: int) -> None:
    driver.put(f"d/{number}", b"thread")
    assert driver.stat(f"d/{number}").size == len(b"thread"), f"thread {number} does not find what it has put"


@scenario(*("T1", "T4"), kills=("descriptor-for-each-thread",), rows=(127, 163))
def threads_that_ended_leave_nothing_open(ctx: Context) -> None:
    """Dozens of threads, one after the other, use a driver and end, and no descriptor stays open for them.

    A server may start a thread for each request, and a process has room for a thousand descriptors.
    """
    _in_a_thread(ctx.driver, 0)
    before, count = descriptors(), ctx.size(THREADS)
    for number in range(1, count + 1):
        _in_a_thread(ctx.driver, number)
    more = descriptors() - before
    assert more <= count // 2, f"{more} more descriptors are open after {count} threads ended"


def _in_a_thread(driver: CheckedDriver, number: int) -> None:
    together([partial(_put_and_look, driver, number)])


@scenario(*("T2", "W6"), kills=("writers-limited", "handles-limited"), rows=(117, 127), profile="default")
def a_hundred_writers_are_open_at_once(ctx: Context) -> None:
    """More than a hundred writers of as many keys are open at once, and each publishes what it was given."""
    with ctx.handles():
        writers = [ctx.driver.open_writer(f"d/{number:03}") for number in range(ctx.size(WRITERS))]
        for turn in (b"first", b"second"):
            for number, writer in enumerate(writers):
                writer.write(b"%s of %d, " % (turn, number))
        for writer in writers:
            writer.close()
    for number in range(len(writers)):
        ctx.same(ctx.driver.get(f"d/{number:03}", 100), b"first of %d, second of %d, " % (number, number), f"{number}")


HANDLES: Final = 1060
"""Readers and writers of each that are open at once: a table or a pool has room for 1,024."""

EACH: Final = 4
"""Descriptors that a handle may hold."""


@scenario(*("T2", "F3", "R4"), kills=("so-many-handles",), rows=(117, 127), profile="default")
def a_thousand_handles_are_open_at_once(ctx: Context) -> None:
    """As many readers, and then as many writers of keys of their own, are open at once as descriptors allow.

    The first ones go on as if there were no others: none has lost its place or its key, and none waits.
    """
    ctx.driver.put("d/read", b"read by many")
    with as_many_descriptors_as_may_be() as most:
        count = min(ctx.size(HANDLES), (most - descriptors()) // EACH)
        looked_at = sorted({0, 1, count // 2, count - 1})
        with ctx.handles(), ThreadPoolExecutor(8) as pool:
            readers = list(pool.map(partial(_open_and_read, ctx.driver), range(count)))
            for number in looked_at:
                assert readers[number].read(100) == b"by many", f"reader {number} of {count}"
        with ctx.handles(), ThreadPoolExecutor(8) as pool:
            writers = list(pool.map(partial(_open_and_write, ctx.driver), range(count)))
            for number in looked_at:
                writers[number].write(b", and more")
                writers[number].flush()
                ctx.same(ctx.driver.get(f"d/{number:04}", 100), b"written, and more", f"writer {number} of {count}")
            list(pool.map(lambda writer: writer.discard(), writers))


def _open_and_read(driver: CheckedDriver, _number: int) -> Reader:
    reader = driver.open_reader("d/read")
    assert reader.read(5) == b"read "
    return reader


def _open_and_write(driver: CheckedDriver, number: int) -> Writer:
    writer = driver.open_writer(f"d/{number:04}")
    writer.write(b"written")
    return writer


@scenario(*("T6", "M1", "M3"), kills=("moves-wait-for-each-other",), rows=(48, 126))
def moves_in_opposite_directions_end(ctx: Context) -> None:
    """Threads that put and move objects between two keys, half of them the other way, all end.

    If a move locks its source, and then its target, it waits for one that comes from there.
    """
    keys = ("here/one", "there/two")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        together(
            [
                partial(_move_to_and_fro, ctx.open(), keys[:: 1 if thread % 2 else -1], ctx.size(40))
                for thread in range(4)
            ]
        )
    finally:
        sys.setswitchinterval(interval)
    left = ctx.stored()
    assert left, "nothing is left of what was moved"
    for key in left:
        ctx.expect(key, b"moved to and fro")


def _move_to_and_fro(driver: CheckedDriver, keys: tuple[str, ...], times: int) -> None:
    source, target = keys
    for _ in range(times):
        driver.put(source, b"moved to and fro")
        with suppress(PathNotFoundError):
            driver.move(source, target)

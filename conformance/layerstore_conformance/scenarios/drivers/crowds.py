"""Crowds: hundreds of calls of each kind, and many writers, drivers and threads at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import together

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

CALLS: Final = 130
"""Calls of each kind: a pool, a session or a counter that runs over, does so at a hundred or at 128."""

THREADS: Final = 56
DRIVERS: Final = 56


@scenario(
    *("D1", "M1", "M3", "S1", "S3", "L1", "L3", "R1", "R5"), kills=("nth-call-lost",), rows=(50, 68), profile="default"
)
def hundreds_of_calls_of_each_kind_are_done(ctx: Context) -> None:
    """Every one of hundreds of deletes, moves, listings, reads and looks by one handle does what the first one did."""
    driver = ctx.driver
    driver.put("e/stays", b"stays")
    for number in range(ctx.size(CALLS)):
        key, moved, data = f"d/{number}", f"e/{number}", b"%06d" % number
        driver.put(key, data)
        assert driver.stat(key).size == len(data), f"size {driver.stat(key).size} of object {number}"
        driver.move(key, moved)
        with refused(PathNotFoundError):
            driver.stat(key)
        assert driver.stat(moved).size == len(data), f"size {driver.stat(moved).size} of object {number}, moved"
        assert list(driver.list("e")) == [moved, "e/stays"], f"{list(driver.list('e'))} with {moved}"
        with driver.open_reader(moved) as reader:
            ctx.same(reader.read(100), data, f"object {number}")
        driver.delete(moved)
        assert list(driver.list("e")) == ["e/stays"], f"{list(driver.list('e'))} without {moved}"


@scenario(*("T1", "T2"), kills=("threads-limited",), rows=(119, 127))
def dozens_of_threads_use_one_driver(ctx: Context) -> None:
    """Dozens of threads, each for the first time, put and look by one driver at once."""
    count = ctx.size(THREADS)
    together([partial(_put_and_look, ctx.driver, number) for number in range(count)])
    assert ctx.stored("d") == sorted(f"d/{number}" for number in range(count))


def _put_and_look(driver: CheckedDriver, number: int) -> None:
    driver.put(f"d/{number}", b"thread")
    assert driver.stat(f"d/{number}").size == len(b"thread"), f"thread {number} does not find what it has put"


@scenario(*("T2", "W6"), kills=("writers-limited", "handles-limited"), rows=(117, 127), profile="default")
def a_hundred_writers_are_open_at_once(ctx: Context) -> None:
    """More than a hundred writers of as many keys are open at once, and each publishes what it was given."""
    with ctx.handles():
        writers = [ctx.driver.open_writer(f"d/{number:03}") for number in range(ctx.size(CALLS))]
        for turn in (b"first", b"second"):
            for number, writer in enumerate(writers):
                writer.write(b"%s of %d, " % (turn, number))
        for writer in writers:
            writer.close()
    for number in range(len(writers)):
        ctx.same(ctx.driver.get(f"d/{number:03}", 100), b"first of %d, second of %d, " % (number, number), f"{number}")


@scenario(*("T2", "C5"), kills=("drivers-limited",), rows=(9, 127))
def dozens_of_drivers_are_open_at_once(ctx: Context) -> None:
    """Dozens of drivers on one store are open at once, and each of them can be used from the first to the last."""
    with ctx.handles():
        drivers = [ctx.open() for _ in range(ctx.size(DRIVERS))]
        for turn in range(2):
            for number, driver in enumerate(drivers):
                driver.put("key", b"%d by %d" % (turn, number))
        ctx.same(drivers[0].get("key", 100), b"1 by %d" % (len(drivers) - 1), "put by the last, read by the first")

"""Crowds: dozens of threads use one driver, and more than a hundred writers are open at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.together import together

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
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

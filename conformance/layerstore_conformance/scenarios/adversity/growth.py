"""Growth: a call about one object costs no more where more objects lie, the object is larger, or much was done before.

Cost is counted in lines of the driver's own code, and in requests where the harness tells them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.steps.effort import Effort, effort

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "cost"

FEW: Final = 10
MANY: Final = 1000
"""Keys beside the one that is used."""

SMALL: Final = 100
"""Bytes of a small object."""

MIBS: Final = 16
"""MiB of a large one."""

LINES: Final = 50
"""Lines that a call may take more, beside a quarter of them all: a tree is a level higher, a cache was just full."""

REQUESTS: Final = 2
"""Requests that a call may take more, beside a quarter of them all."""

PIECES: Final = 250
"""Lines that a call may take for each MiB, if it works on the pieces of an object, or on a copy of it."""

ASKED: Final = 4
"""Requests that it may take for each MiB: a test's pieces may be as small as half of that."""

FLUSHES: Final = 300


def _append(driver: CheckedDriver) -> None:
    with driver.open_writer("d/key") as writer:
        writer.write(b"more")


CALLS: Final[dict[str, Callable[[CheckedDriver], object]]] = {
    "stat": lambda driver: driver.stat("d/key"),
    "open_reader": lambda driver: driver.open_reader("d/key", SMALL // 2).close(),
    "open_writer": lambda driver: driver.open_writer("d/key").discard(),
    "append": _append,
    "move": lambda driver: driver.move("d/key", "d/moved"),
    "move back": lambda driver: driver.move("d/moved", "d/key"),
    "put": lambda driver: driver.put("d/key", b"small"),
    "delete": lambda driver: driver.delete("d/key"),
    "put anew": lambda driver: driver.put("d/key", b"small"),
}
"""Each is done to what the one before has left."""

IN_PIECES: Final = frozenset({"open_writer", "append", "move", "move back"})
"""The calls for which a backend may have to name the pieces of an object, or copy it."""


def _efforts(ctx: Context, size: int) -> dict[str, Effort]:
    """Return what each call costs on an object of a size, the second time: what is done once is done."""
    found: dict[str, Effort] = {}
    for _ in range(2):
        ctx.driver.put("d/key", bulk("growing", size, ctx.seed))
        for name, call in CALLS.items():
            found[name] = effort(ctx, lambda call=call: call(ctx.driver))  # type: ignore[misc]  # a loop's variable
    return found


def _expect_no_more(name: str, before: Effort, after: Effort, pieces: int = 0) -> None:
    """Check that a call has cost no more, but for some lines and requests of each MiB that is kept in pieces."""
    lines = before.lines + before.lines // 4 + LINES + pieces * PIECES
    requests = before.requests + before.requests // 4 + REQUESTS + pieces * ASKED
    assert after.lines <= lines, f"{name} took {after.lines} lines of the driver's code, and {before.lines} before"
    assert after.requests <= requests, f"{name} took {after.requests} requests, and {before.requests} before"


@scenario("T6", kills=("stat-looks-at-every-key", "moves-look-at-every-key"), rows=(188,), profile="default")
def a_call_costs_no_more_where_more_keys_lie(ctx: Context) -> None:
    """A look, an open, an append, a move or a put of one key costs the same beside ten keys and a thousand.

    Else a registry slows down from day to day, and nobody sees why. A delete may look for what lies below its key.
    """
    most = ctx.size(MANY)
    _fill(ctx, range(FEW))
    before = _efforts(ctx, SMALL)
    _fill(ctx, range(FEW, most))
    after = _efforts(ctx, SMALL)
    for name in [name for name in CALLS if name != "delete"]:
        _expect_no_more(f"beside {most} keys: {name}", before[name], after[name])


def _fill(ctx: Context, numbers: range) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _make(ctx.driver, number), numbers))


def _make(driver: CheckedDriver, number: int) -> None:
    """Make a key, by a put or by a writer."""
    key = f"d/{number:04}"
    if number % 2:
        driver.put(key, b"put")
        return
    with driver.open_writer(key) as writer:
        writer.write(b"written")


@scenario("T6", kills=("stat-reads-the-object", "opening-reads-the-object"), rows=(188,), profile="default")
def a_call_costs_no_more_on_a_larger_object(ctx: Context) -> None:
    """A look at an object of many MiB, its opening, its deletion and what is put in its place cost as those of a small.

    An append and a move may cost something for each MiB, where an object is kept in pieces or a file must be copied.
    """
    before, after = _efforts(ctx, SMALL), _efforts(ctx, MIBS << 20)
    for name in CALLS:
        pieces = MIBS if name in IN_PIECES else 0
        _expect_no_more(f"of {MIBS} MiB: {name}", before[name], after[name], pieces)


@scenario("T6", kills=("flushes-add-up",), rows=(188,), profile="default")
def a_flush_costs_no_more_after_many(ctx: Context) -> None:
    """After hundreds of flushes a writer's next one, and the next writer's, cost no more than after a few."""
    with ctx.driver.open_writer("d/key") as writer:

        def flush() -> None:
            writer.write(b"0123456789")
            writer.flush()

        for _ in range(FEW):
            flush()
        before = [effort(ctx, flush), effort(ctx, lambda: ctx.driver.stat("d/key"))]
        for _ in range(ctx.size(FLUSHES)):
            flush()
        after = [effort(ctx, flush), effort(ctx, lambda: ctx.driver.stat("d/key"))]
    for name, few, many in zip(("flush", "stat"), before, after, strict=True):
        _expect_no_more(f"after {ctx.size(FLUSHES)} flushes: {name}", few, many)

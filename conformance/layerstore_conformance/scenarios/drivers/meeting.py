"""Meeting: two calls on one key at the same moment; one is done, and the other raises an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

from layerstore import DriverError, FencedError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.together import together

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

CHANGED = b"what a change leaves"

CHANGES: dict[str, tuple[Callable[[CheckedDriver], None], bytes | None]] = {
    "a put": (lambda driver: driver.put("d/key", CHANGED), CHANGED),
    "a move over it": (lambda driver: driver.move("source", "d/key"), CHANGED),
    "a delete": (lambda driver: driver.delete("d/key"), None),
    "a delete of the prefix": (lambda driver: driver.delete("d"), None),
}
"""Calls that take a key from its writer, with the bytes that are there afterwards."""


def _done(act: Callable[[], object], refusal: type[DriverError]) -> bool:
    """Do something, and return whether it was done; if the other call came first, it raises this error."""
    try:
        act()
    except refusal:
        return False
    return True


@scenario("F1", "F3", "F4", "T1", kills=("fencing-absent",), rows=(119, 120, 121))
def of_writers_flushed_at_once_the_last_opened_publishes(ctx: Context) -> None:
    """If writers of one object flush at once, the one opened last publishes, and the others raise FencedError.

    If they fenced each other, a client and its own retry would get nowhere.
    """
    other = ctx.open()
    for number in range(ctx.size(8)):
        key = f"d/{number}"
        writers = [driver.open_writer(key) for driver in (ctx.driver, other, ctx.driver)]
        for index, writer in enumerate(writers):
            writer.write(ctx.payload(f"writer-{index}").read(600))
        done = together([partial(_done, writer.close, FencedError) for writer in writers])
        assert done == [False, False, True], f"in the order of opening, done were {done}"
        ctx.expect(key, ctx.payload("writer-2").read(600))


@scenario("F2", "F3", "F4", "D3", "T1", kills=("flush-overtakes-a-change",), rows=(115, 119, 120))
def a_flush_that_meets_a_change_comes_before_it_or_never(ctx: Context) -> None:
    """If a flush meets a put, a move or a delete, the change stands: the writer was opened before it.

    A flush on its way must not bring back a cancelled upload, nor spoil a layer that was healed.
    """
    other = ctx.open()
    for name, (change, left) in CHANGES.items():
        for number in range(ctx.size(4)):
            ctx.step(f"{name}, {number}")
            ctx.driver.put("source", CHANGED)
            writer = ctx.driver.open_writer("d/key")
            writer.write(ctx.payload("flushed").read(600))
            if number % 2:
                writer.flush()
                writer.write(ctx.payload("flushed").read(600, 600))
            acts: list[Callable[[], object]] = [partial(_done, writer.close, FencedError), partial(change, other)]
            together(acts)
            if left is None:
                assert ctx.stored("d") == [], f"{name} and a flush left {ctx.stored('d')}"
            else:
                ctx.expect("d/key", left)
            ctx.driver.delete("d")


@scenario("M1", "M3", "T1", kills=("move-copies-first", "move-in-two-steps"), rows=(94, 96, 119))
def of_two_moves_of_one_object_one_finds_it(ctx: Context) -> None:
    """If an object is moved to two names at once, it arrives under one, and the other move raises an error.

    When a move has returned, its caller relies on the object being there and nowhere else.
    """
    drivers = (ctx.driver, ctx.open())
    targets = ("d/one", "d/two")
    for _ in range(ctx.size(8)):
        ctx.driver.put("source", ctx.payload("moved").read(700))
        moves = [partial(driver.move, "source", target) for driver, target in zip(drivers, targets, strict=True)]
        done = together([partial(_done, move, PathNotFoundError) for move in moves])
        assert sum(done) == 1, f"{sum(done)} of 2 moves of one object were done"
        assert ctx.stored() == [*compress(targets, done)], f"moved to {[*compress(targets, done)]}: {ctx.stored()}"
        ctx.expect(ctx.stored()[0], ctx.payload("moved").read(700))
        ctx.driver.delete("d")

"""Interrupted flushes and ends: they show the old or the new bytes, may be repeated, but never over others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.interrupting import WRITTEN, Written, flush, interrupted_at, shown_to_others

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "faults"


@scenario(
    *("E4", "W6", "W7", "W8", "T6"),
    kills=("an-interrupted-flush-forgets", "a-lock-is-kept-by-an-exception", "a-version-is-known-from-what-was-told"),
    axes=(WRITTEN,),
)
def a_flush_interrupted_anywhere_may_be_repeated(ctx: Context, written: Written) -> None:
    """Interrupted anywhere in the driver, a flush shows the old or the new bytes; repeated, it publishes all.

    A server that is told to stop in the middle of a flush closes its uploads before it ends.
    """
    for place, writer, _ in interrupted_at(ctx, written, flush):
        with suppress(DriverError):
            writer.flush()
            ctx.expect("d/key", written.whole)
            there = ctx.open().stat("d/key").version
            assert writer.version == there, f"interrupted at place {place}, a writer tells of another version"
        writer.discard()
        with ctx.driver.open_writer("d/key") as later:
            later.write(b"after")
        assert ctx.read("d/key") in {each + b"after" for each in written.states}, "unpublished bytes came back"


@scenario(
    *("E4", "W6", "W7", "T6"),
    kills=("a-lock-is-kept-by-an-exception",),
    axes=(WRITTEN,),
)
def an_end_interrupted_anywhere_shows_all_or_nothing(ctx: Context, written: Written) -> None:
    """Interrupted anywhere in the driver, a writer's end shows the old or the new bytes, and holds up nobody."""
    for place, writer, found in interrupted_at(ctx, written, lambda writer: writer.end()):
        assert writer.closed, f"interrupted at place {place}, an end left its writer open"
        with ctx.driver.open_writer("d/key") as later:
            assert later.size == len(found), f"the next writer begins with {later.size} bytes of {len(found)}"
            later.write(b"after")
        ctx.expect("d/key", found + b"after")


@scenario(
    *("E4", "W6", "W7", "W8"),
    kills=("an-interrupted-flush-goes-on-in-place", "a-commit-is-noted-behind-its-block"),
    axes=(WRITTEN,),
)
def what_is_written_after_an_interrupted_flush_waits_for_the_next(ctx: Context, written: Written) -> None:
    """After a flush that was interrupted anywhere, bytes written over the object show from the next flush on.

    Such a flush may have been done. Its writer must not go on in the very memory or file that others read by now.
    """
    over = b"over".ljust(len(written.whole) - 10, b"o") + written.whole[-10:]
    for place, writer, shown in interrupted_at(ctx, written, flush):
        expected = shown
        with suppress(DriverError):
            writer.seek(0)
            writer.write(over[:-10])
            assert shown_to_others(ctx) == shown, f"interrupted at place {place}, it shows what was not flushed"
            writer.flush()
            expected = over
        writer.discard()
        ctx.same(shown_to_others(ctx), expected, f"interrupted at place {place}")


MOST: Final[dict[Profile, int]] = {"quick": 2, "default": 4, "full": 1000}
"""Places in each flush at which it is interrupted: it is tried with every change by others."""


def _put(driver: CheckedDriver) -> None:
    driver.put("d/key", b"of others")


def _move_over(driver: CheckedDriver) -> None:
    driver.put("d/source", b"of others")
    driver.move("d/source", "d/key")


def _write(driver: CheckedDriver) -> None:
    with driver.open_writer("d/key") as writer:
        writer.write(b"of others")


def _delete(driver: CheckedDriver) -> None:
    driver.delete("d/key")


OTHERS = Axis("other", {"a put": _put, "a move over it": _move_over, "a writer": _write, "a delete": _delete})


@scenario(
    *("F1", "F2", "F3", "F4", "E4"),
    kills=("an-interrupted-flush-is-repeated-over-others",),
    axes=(WRITTEN, OTHERS),
)
def a_flush_interrupted_anywhere_is_not_repeated_over_others(
    ctx: Context, written: Written, other: Callable[[CheckedDriver], None]
) -> None:
    """After a flush that was interrupted anywhere, and a change by another handle, the writer publishes nothing.

    Such a writer does not know which version it has published, and must not take another's for it.
    """
    for place, writer, _ in interrupted_at(ctx, written, flush, MOST):
        other(ctx.driver)
        expected = shown_to_others(ctx)
        for _ in range(2):
            with refused(DriverError):
                writer.flush()
        writer.discard()
        ctx.same(shown_to_others(ctx), expected, f"interrupted at place {place}, and fenced")

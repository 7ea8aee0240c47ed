"""Interrupted writes: each is done or refused, takes nothing along that was accepted, and shows in no gap."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.interruption import Interruption
from layerstore_conformance.steps.calls import MORE, NEW, OLD
from layerstore_conformance.steps.interrupting import flush, open_and_write, places, replaced

if TYPE_CHECKING:
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "faults"

MIB = 1 << 20


class Wrote(NamedTuple):
    """A write: where it begins, as seen from the end, its length, and the size of the object before, all in bytes."""

    offset: int
    length: int
    size: int = 9000


WRITES = Axis(
    "write",
    {
        "at the end": Wrote(0, 3000),
        "before the end": Wrote(-2000, 700),
        "over the end": Wrote(-1000, 3000),
        "behind a gap": Wrote(5000, 3000),
        "large": Wrote(0, 5 * MIB // 2),
        "large, from a whole MiB on": Wrote(0, 5 * MIB // 2, MIB),
        "large over the end": Wrote(-1000, 5 * MIB // 2),
        "over the end, a byte behind a whole MiB": Wrote(-1000, 3000, MIB + 1),
        "over the end, a byte before a whole MiB": Wrote(-1000, 3000, MIB - 1),
    },
)


@scenario(
    *("W2", "W4", "W6", "E4", "T6"),
    kills=("an-interrupted-write-forgets", "an-interrupted-write-shows-in-a-gap"),
    axes=(WRITES,),
)
def a_write_interrupted_anywhere_is_done_or_refused(ctx: Context, write: Wrote) -> None:
    """Interrupted anywhere in the driver, a write takes nothing along that was accepted, and shows in no gap.

    A server that is told to stop in the middle of a write closes its uploads, so that they can be resumed.
    """
    offset, length, before = write
    old = bulk("old", before - len(NEW + MORE), ctx.seed)
    accepted = old + NEW + MORE
    drawn = places(ctx, partial(_write_on, open_and_write(ctx.driver, old=old), offset, length))
    for number, place in enumerate([*drawn, drawn[-1]]):  # that is tried in both ways
        writer = open_and_write(ctx.driver, old=old)
        start, done = before + offset, False
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
            _write_on(writer, offset, length)
            done = True
        whole = replaced(accepted, start, b"n" * length)
        size = len(whole) if done else len(accepted)
        assert writer.size == size, f"interrupted at place {place}, a write left a size of {writer.size}, not {size}"
        far = max(len(whole), len(accepted)) + 1000
        try:
            if number % 2:  # of what was not accepted the next writer must find nothing, either
                writer.close()
                writer = ctx.driver.open_writer("d/key")
            writer.seek(far)
            writer.write(b"far")
            writer.close()
        except DriverError:
            continue
        found = ctx.read("d/key")
        allowed = [whole] if done else [accepted, whole[: len(accepted)]]
        expected = [replaced(each, far, b"far") for each in allowed]
        assert found in expected or _is_partly(found, *expected), (
            f"interrupted at place {place}, a write {'done' if done else 'refused'} left {len(found)} bytes"
        )


SECOND: dict[Profile, int] = {"quick": 6, "default": 12, "full": 1000}
"""Places in the second of two calls at which it is interrupted."""


def _write_beyond(writer: Writer) -> None:
    _write_on(writer, 100, 400)


TWICE = Axis("first", {name: WRITES.points[name] for name in ("at the end", "over the end", "behind a gap", "large")})
THEN = Axis("then", {"a flush": flush, "a write": _write_beyond})


@scenario(
    *("W2", "W4", "W8", "E4"),
    kills=("a-cut-is-rolled-back-and-not-repeated", "an-interrupted-write-shows-in-a-gap"),
    axes=(TWICE, THEN),
)
def a_call_interrupted_after_a_write_was_leaves_zeros_in_a_gap(
    ctx: Context, first: Wrote, then: Callable[[Writer], object]
) -> None:
    """After an interrupted write and an interrupted flush or write, a gap is zeros, and what was accepted is whole.

    What takes an interrupted write back may itself be interrupted, and must then be done once more.
    """
    last = _last_place(ctx, open_and_write(ctx.driver), partial(_write_on, offset=first.offset, length=first.length))
    writer = _after_a_write(ctx, first, last)
    for place in ctx.sample(range(1, 1 + _last_place(ctx, writer, then)), SECOND[ctx.profile]):
        ctx.count("interrupted calls")
        writer = _after_a_write(ctx, first, last)
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt, DriverError):  # it may refuse, too
            then(writer)
        accepted = writer.size
        far = accepted + 5000
        try:
            writer.seek(far)
            writer.write(b"far")
            writer.close()
        except DriverError:
            writer.discard()
            continue
        found = ctx.read("d/key")
        assert len(found) == far + 3, f"interrupted at place {place}, {len(found)} bytes instead of {far + 3}"
        gap = found[accepted:far].strip(b"\0")
        assert not gap, f"interrupted at place {place}, a gap holds {gap[:20]!r}"
        whole = (OLD + NEW + MORE)[: min(0, first.offset) or None]
        ctx.same(found[: len(whole)], whole, f"what was accepted, interrupted at place {place}")


def _after_a_write(ctx: Context, wrote: Wrote, place: int) -> Writer:
    """Return a writer whose last write was interrupted at a place."""
    writer = open_and_write(ctx.driver)
    with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
        _write_on(writer, wrote.offset, wrote.length)
    return writer


def _last_place(ctx: Context, writer: Writer, act: Callable[[Writer], object]) -> int:
    """Return the number of the last place in a call."""
    counting = Interruption(ctx.driver)
    with counting.lurking(), suppress(DriverError):  # after an interrupted write it may refuse
        act(writer)
    writer.discard()
    return counting.places


def _write_on(writer: Writer, offset: int, length: int) -> None:
    writer.seek(offset, os.SEEK_END)
    writer.write(b"n" * length)


def _is_partly(found: bytes, *wanted: bytes) -> bool:
    """Return whether each byte is that of one or the other."""
    lengths = {len(found), *map(len, wanted)}
    return len(lengths) == 1 and all(byte in others for byte, *others in zip(found, *wanted, strict=True))

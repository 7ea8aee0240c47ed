"""What goes on while another handle's call stands still where it changes or syncs a file: the disk may take minutes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import FencedError
from layerstore.driver import Writer
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.moments import Held, Meeting
from layerstore_conformance.kit.places import Places
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.sleeping import asked_to_sleep
from layerstore_conformance.kit.system_calls import begins_change, begins_sync
from layerstore_conformance.steps.calls import CALLS, OLD, Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.moments import IsMoment

GROUP = "concurrency"

FLUSHED = Axis("flushed", {"a new object": (0, 0), "an append": (9000, 9000), "a rewrite": (9000, 100)})
"""Bytes of the object before, and where 70,000 others are written."""


@scenario("F1", "T6", kills=("opening-waits-for-a-flush",), needs=("shared",), axes=(FLUSHED,))
def a_writer_is_opened_while_a_flush_waits_for_the_disk(ctx: Context, flushed: tuple[int, int]) -> None:
    """While a flush is in the middle of a sync, another handle takes the key over, and does not wait for it.

    The client whose flush hangs sends its layer again, to another node.
    """
    size, start = flushed
    old, data = bulk("old", size, ctx.seed), bulk("data", 70_000, ctx.seed)
    moment, events = 0, 1
    while moment < events:
        ctx.count("moments")
        ctx.driver.delete("key")
        if size:
            ctx.driver.put("key", old)
        writer = ctx.driver.open_writer("key")
        writer.seek(start)
        writer.write(data)
        with Held(partial(_flush_or_fenced, writer), moment, begins_sync) as held:
            later = ctx.open().open_writer("key")
        found = {each: ctx.read(each) for each in ctx.stored()}.get("key", b"")
        assert len(found) == later.size, f"the later writer begins with {later.size} bytes of {len(found)}"
        ctx.same(found, old[:start] + data if later.size > size else old, f"held at its sync {moment}")
        later.write(b"later")
        later.close()
        ctx.expect("key", found + b"later")
        moment, events = moment + 1, held.events


def _flush_or_fenced(writer: Writer) -> None:
    with suppress(FencedError):
        writer.flush()
    writer.discard()


HELD: Final = {"quick": 1, "default": 3, "full": 100}
"""Changes of each call at which it is held; places, where it changes no files."""

WRITERS: Final = 60
"""Writers that are discarded at each: of so many, some share whatever a driver has for many keys."""


@scenario("T6", kills=("a-release-waits-for-other-keys",), axes=(CALLS,))
def writers_of_many_keys_end_while_a_change_stands_still(ctx: Context, call: Call) -> None:
    """While a call is in the middle of a change, writers of many other keys are discarded, and do not wait for it.

    A driver may have few locks for many keys. A process that is stopped in the middle of a call holds one of them.
    """
    is_moment, events = _moments(ctx, call)
    for moment in ctx.sample(range(events), HELD[ctx.profile]):
        ctx.count("moments")
        _prepare(ctx, call)
        writers = [ctx.driver.open_writer(f"others/{number}") for number in range(ctx.size(WRITERS))]
        for writer in writers:
            writer.write(OLD)
        with Held(partial(call.act, ctx.open()), moment, is_moment):
            for writer in writers:
                writer.discard()
        assert {key: ctx.read(key) for key in ctx.stored()} == call.done


def _moments(ctx: Context, call: Call) -> tuple[IsMoment, int]:
    """Make a call, and return at what it may be held and how often that comes; without files at any place."""
    changes, place = _count(ctx, call, begins_change), Places(ctx.driver).have
    return (begins_change, changes) if changes else (place, _count(ctx, call, place))


def _count(ctx: Context, call: Call, is_moment: IsMoment) -> int:
    _prepare(ctx, call)
    with Held(partial(call.act, ctx.open()), 1 << 60, is_moment) as held:
        pass
    return held.events


def _prepare(ctx: Context, call: Call) -> None:
    ctx.driver.delete("d")
    for key, data in call.before.items():
        ctx.driver.put(key, data)


WRITES = Axis("start", {"an append": 9000, "a rewrite": 100})
"""Where bytes are written in an object of 9,000."""

TAKES = Axis(
    "take",
    {
        "a writer": lambda driver: driver.open_writer("key"),
        "move": lambda driver: driver.move("key", "moved"),
        "put": lambda driver: driver.put("key", b"put"),
    },
)

DRAWN: Final = {"quick": 0, "default": 1, "full": 100}
"""Changes of a write at which it is held, beside the last one."""

ASKED: Final = 1.0
"""Seconds for which a call may ask to sleep, in all."""


@scenario(
    *("F1", "F2", "F3", "T4", "T6"),
    kills=("opening-waits-for-a-write", "a-takeover-keeps-a-file"),
    needs=("shared",),
    axes=(WRITES, TAKES),
)
def a_key_is_taken_while_a_write_waits_for_the_disk(
    ctx: Context, start: int, take: Callable[[CheckedDriver], object]
) -> None:
    """While a write is in the middle of a change of a file, another handle takes the key, and hardly waits for it.

    Whether the write goes on meanwhile or stands still, no descriptor is left open when all is closed.
    """
    events = _take_amid(ctx, start, take, 1 << 60, stands=True)
    before = descriptors()
    for moment in {*ctx.sample(range(events), DRAWN[ctx.profile]), events - 1}:
        for stands in (True, False):
            ctx.count("moments")
            _take_amid(ctx, start, take, moment, stands=stands)
    more = descriptors() - before
    assert more <= 0, f"{more} more descriptors are open after a key was taken in the middle of a write"


def _take_amid(ctx: Context, start: int, take: Callable[[CheckedDriver], object], moment: int, *, stands: bool) -> int:
    """Take the key at a moment of a write; return how many moments the write has."""
    ctx.driver.put("key", bulk("old", 9000, ctx.seed))
    with ctx.handles():
        writer, driver = ctx.open().open_writer("key"), ctx.open()
        writer.seek(start)
        work = partial(_write_or_fenced, writer, bulk("data", 70_000, ctx.seed))
        taken: list[object] = []

        def taking() -> None:
            with asked_to_sleep() as asked:
                taken.append(take(driver))
            assert sum(asked) < ASKED, f"who took the key asked to sleep for {sum(asked):.1f} s"

        met: Held | Meeting
        if stands:
            with Held(work, moment, begins_change) as met:
                taking()
        else:
            met = Meeting(taking, moment, begins_change, patience=AMID)
            met.of(work)
        with refused(FencedError):
            writer.flush()
        writer.discard()
        for each in taken:
            if isinstance(each, Writer):
                each.discard()
    for key in ("key", "moved"):
        ctx.driver.delete(key)
    return met.events


AMID: Final = 0.05
"""Seconds for which a write waits, in the middle, for who takes the key; then it goes on."""


def _write_or_fenced(writer: Writer, data: bytes) -> None:
    with suppress(FencedError):
        writer.write(data)

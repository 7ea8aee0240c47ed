"""What goes on while another handle's call stands still where it changes or syncs a file: the disk may take minutes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import FencedError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.moments import Held
from layerstore_conformance.kit.places import Places
from layerstore_conformance.kit.system_calls import begins_change, begins_sync
from layerstore_conformance.steps.calls import CALLS, OLD, Call

if TYPE_CHECKING:
    from layerstore.driver import Writer
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

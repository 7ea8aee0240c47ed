"""Interrupted calls of a driver: an exception anywhere in it, as Ctrl-C raises one, leaves nothing half done."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import FencedError, PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.interruption import Interruption
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.calls import CALLS, Call, Stored, told
from layerstore_conformance.steps.interrupting import places

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "faults"


@scenario(
    *("E4", "P1", "M2", "D4", "T6"),
    kills=(
        *("a-move-removes-first", "a-lock-is-kept-by-an-exception", "a-turn-is-kept-by-a-refusal"),
        "an-interrupted-put-is-not-listed",
    ),
    axes=(CALLS,),
)
def a_call_interrupted_anywhere_is_done_or_not(ctx: Context, call: Call) -> None:
    """Interrupted anywhere in the driver, a put, move or delete is done or not, and can be done again.

    Ctrl-C, an alarm or a worker that is told to stop raises an exception wherever the program is.
    """
    for key, data in call.before.items():
        ctx.driver.put(key, data)
    for place in places(ctx, lambda: call.act(ctx.driver)):
        ctx.driver.delete("d")
        for key, data in call.before.items():
            ctx.driver.put(key, data)
        with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
            call.act(ctx.driver)
        found = _found(ctx, call)
        assert call.may_be(found), f"interrupted at place {place}, it left {told(found)}"
        with suppress(PathNotFoundError):  # it was done, of a move
            call.act(ctx.driver)
        found = _found(ctx, call)
        assert found == call.done, f"interrupted at place {place} and repeated, it left {told(found)}"
        ctx.driver.put("d/after", b"after")
        ctx.expect("d/after", b"after")


def _found(ctx: Context, call: Call) -> Stored:
    """Read what there is, and check that a reader, ``stat`` and the listing agree on which keys there are."""
    driver, found = ctx.open(), {key: ctx.read(key) for key in ctx.stored()}
    for key in sorted({*call.before, *call.done, *found}):
        there, stat = _read(driver, key), driver.find(key)
        assert there == found.get(key), (
            f"{key} is {'listed' if key in found else 'not listed'}, and read: {there!r:.40}"
        )
        size = None if there is None else len(there)
        assert (stat and stat.size) == size, f"{key} has the stat {stat}, and a reader finds a size of {size}"
    return found


def _read(driver: CheckedDriver, key: str) -> bytes | None:
    with suppress(PathNotFoundError):
        return driver.get(key, 1 << 40)
    return None


@scenario(*("E4", "F2", "F3", "F4", "D3"), kills=("an-interrupted-put-fences-nobody",), axes=(CALLS,))
def a_writer_of_what_an_interrupted_call_changed_is_fenced(ctx: Context, call: Call) -> None:
    """Interrupted anywhere in the driver, a put, move or delete that was done has fenced the key's writers.

    Otherwise a writer from before it publishes its old bytes over what was put, or brings back what was deleted.
    """
    for place in places(ctx, lambda: _with_writers(ctx, call, 0)):
        writers = _with_writers(ctx, call, place)
        changed = [key for key in writers if _read(ctx.open(), key) != call.before.get(key)]
        for key in changed:
            done = _read(ctx.open(), key)
            with refused(FencedError):
                writers[key].flush()
            assert _read(ctx.open(), key) == done, f"interrupted at place {place}, the writer of {key} has published"
        for writer in writers.values():
            writer.discard()


def _with_writers(ctx: Context, call: Call, place: int) -> dict[str, Writer]:
    """Open a writer of each key that a call is about, interrupt the call, and return the writers."""
    ctx.driver.delete("d")
    for key, data in call.before.items():
        ctx.driver.put(key, data)
    writers = {key: ctx.driver.open_writer(key) for key in sorted({*call.before, *call.done})}
    for writer in writers.values():
        writer.write(b"late")
    with Interruption(ctx.driver, place).lurking(), suppress(KeyboardInterrupt):
        call.act(ctx.driver)
    return writers

"""Lives that are traced, and the stores that a loss of power leaves of them.

A life runs in another process, whose system calls are written down. For moments between two of them, trees of files are
made that a disk may show after it, and on each a fresh handle is opened.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from layerstore import BackendUnavailableError, LayerStoreError
from layerstore_conformance.engine.defect import planted_now
from layerstore_conformance.kit.another_python import command, environment
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.powerloss import strace
from layerstore_conformance.powerloss.losses import LOSSES, Loss, all_lost, of_one, rebuild, some_lost
from layerstore_conformance.powerloss.trace import Trace
from layerstore_conformance.promises.objects import Objects
from layerstore_conformance.steps.stores import a_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.powerloss.recording import Node, Recording
    from layerstore_conformance.promises.first_call import FirstCall
    from layerstore_conformance.promises.states import State
    from layerstore_conformance.promises.traced import Life

SAMPLES = {"quick": 4, "default": 12, "full": 200}
"""Trees of each life, beside those that show what was promised at its steps."""


class Tree(NamedTuple):
    """A tree to be made: after how many calls, which promise holds, and by which loss."""

    time: int
    progress: int
    loss: Loss
    what: str


def watched(where: Path, module: str, life: Life | Objects | FirstCall, failing_sync: int = 0) -> Trace:
    """Run a module on a life, and return what the kernel was asked for."""
    (where / "life").write_bytes(pickle.dumps(life))
    words = command("-m", module, str(where / "life"))
    strace.run(words, where / "calls", failing_sync=failing_sync, env=environment())
    recording = Trace(where / "store", life.marks)
    recording.read(where / "calls")
    assert recording.time, "no system call changes anything in the directory: the store is elsewhere"
    return recording


def trees(ctx: Context, recording: Trace, samples: int = 1) -> Iterator[Tree]:
    """Yield what is lost when: all that was not synced, at the end of each step and after syncs; a sample of all else.

    What is on the disk changes with every sync: if a name comes there before its bytes, it shows between the two.
    """
    yield from (Tree(time, progress, all_lost, "all lost") for time, progress in recording.steps)
    begun, _ = recording.steps[0]
    syncs = [sync for sync in recording.synced_at() if sync > begun] if samples else []
    for time in ctx.sample(syncs, samples * SAMPLES[ctx.profile]):
        yield Tree(time, max(recording.moments[time], 0), all_lost, "all lost but what was just synced")
    for _ in range(ctx.size(samples * SAMPLES[ctx.profile])):
        time = ctx.random.randrange(begun, recording.time + 1)
        what = ctx.random.choice([*LOSSES, "a mixture"])
        loss = LOSSES.get(what) or some_lost(ctx.random.randrange(1 << 32))
        yield Tree(time, max(recording.moments[time], 0), loss, what)


def one_lost(ctx: Context, recording: Trace) -> Iterator[Tree]:
    """Yield what is left if one file or directory is behind all others, or ahead, after each step and after syncs.

    The one has changed in that step.
    """
    begun, _ = recording.steps[0]
    syncs = [sync for sync in recording.synced_at() if sync > begun]
    chosen = ((sync, recording.moments[sync]) for sync in ctx.sample(syncs, SYNCS[ctx.profile]))
    for time, progress in sorted({*recording.steps, *chosen}):
        yield Tree(time, progress, all_lost, "all lost")
        ended = (time, progress) in recording.steps
        since, _ = recording.steps[max(progress - ended, 0)]
        for what, kept in of_one(recording, time, since):
            yield Tree(time, progress, partial(_these, kept), what)


SYNCS = {"quick": 6, "default": 200, "full": 1 << 20}
"""After which one file or directory is lost, beside the steps."""


def _these(kept: dict[Node, Any], recording: Recording, time: int) -> dict[Node, Any]:
    del recording, time
    return kept


@contextmanager
def found(ctx: Context, top: Path, recording: Trace, tree: Tree, below: str = "") -> Iterator[CheckedDriver | None]:
    """Make a tree, and open the store that is in it, or below; None if it cannot be made."""
    assert ctx.harness.traced is not None, "needs traced"
    made = rebuild(recording, tree.loss(recording, tree.time), top)
    if made is None:
        yield None
        return
    if ctx.harness.rebuilt is not None and (top / below).is_dir():
        ctx.harness.rebuilt(top / below, made)
    with ctx.handles():
        try:
            yield ctx.at(ctx.harness.traced(top / below))
        except LayerStoreError as error:
            raise AssertionError(f"after a loss of power: {error}") from error


def lost_between(
    ctx: Context,
    amid: str,
    drawn: Callable[[Context, Trace], Iterator[Tree]],
    *,
    failing_sync: int = 0,
    below: str = "",
) -> None:
    """Trace a life of objects, whose store is in a directory or below it, and lose the power at moments of it."""
    assert ctx.harness.traced is not None, "needs traced"
    with a_folder() as where:
        top = where / "store"
        top.mkdir()
        opens = ctx.harness.traced(top / below)
        life = Objects(opens, planted_now(), where / "marks", where / "states", top, amid)
        recording = watched(where, "layerstore_conformance.promises.objects", life, failing_sync)
        states: list[State] = pickle.loads(life.states.read_bytes())  # noqa: S301  (our own)
        for number, tree in enumerate(drawn(ctx, recording)):
            between = (tree.time, tree.progress) not in recording.steps
            ctx.step(f"{tree.what} after {tree.time} of {recording.time} calls, {tree.progress} of {len(states)} done")
            ctx.count("losses of power")
            allowed = states[tree.progress : tree.progress + 1 + between]
            with found(ctx, where / str(number), recording, tree, below) as driver:
                if driver is not None:
                    _check_objects(driver, allowed)


def _check_objects(driver: CheckedDriver, allowed: list[State]) -> None:
    """Check that every object is as one of the states has it, and that what is listed is there.

    If nothing was stored for certain, there may be no store.
    """
    certain = any(data is not None for state in allowed for data in state.values())
    with nullcontext() if certain else suppress(BackendUnavailableError):
        _compare(driver, allowed)


def _compare(driver: CheckedDriver, allowed: list[State]) -> None:
    there = {key: driver.get(key, 1 << 20) for key in keys_below(driver, "")}
    for key in {*there, *(key for state in allowed for key in state)}:
        if any(key in state and state[key] is None for state in allowed):
            continue
        data, wanted = there.get(key), [state.get(key) for state in allowed]
        assert data in wanted, f"{key} has {_size(data)}, instead of {' or '.join(map(_size, wanted))}"


def _size(data: bytes | None) -> str:
    return "nothing" if data is None else f"{len(data)} bytes"

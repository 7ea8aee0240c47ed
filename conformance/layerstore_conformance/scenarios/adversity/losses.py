"""Losses of power: what a driver that keeps files has not synced is gone, or there, or half there.

An upload's life runs in another process, whose system calls are written down. For moments between two of them, trees of
files are made that a disk may show after it, and on each a fresh handle must find what the store had promised by then.
"""

from __future__ import annotations

import copy
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from layerstore import BackendUnavailableError, LayerService, LayerStoreError
from layerstore_conformance.engine.defect import planted_now
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.powerloss import trace
from layerstore_conformance.powerloss.losses import LOSSES, Loss, all_lost, rebuild, some_lost
from layerstore_conformance.promises import lifecycles, theorem
from layerstore_conformance.promises.lifecycles import TrackedUpload
from layerstore_conformance.promises.objects import Objects, State
from layerstore_conformance.promises.traced import Life
from layerstore_conformance.steps.stores import a_folder

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.promises.promise import Promise

GROUP = "crash"

NAME = "conformance/power"

SAMPLES = {"quick": 4, "default": 12, "full": 200}
"""Trees of each life, beside those that show what was promised at its steps."""

ENDINGS = (theorem.finish_again, theorem.cancel_again)


class Tree(NamedTuple):
    """A tree to be made: after how many calls, which promise holds, and by which loss."""

    time: int
    progress: int
    loss: Loss
    what: str


def lost_at_moments_of(ctx: Context, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """Trace a life, and lose the power at moments of it."""
    with a_folder() as where:
        recording, promises = _traced(ctx, where, lifecycle)
        for number, tree in enumerate(_trees(ctx, recording)):
            promise = copy.copy(promises[tree.progress])
            ctx.step(f"{lifecycle.__name__}: {tree.what} after {tree.time} of {recording.time} calls: {promise}")
            ctx.count("losses of power")
            _check(ctx, where / str(number), recording, tree, promise)


def _traced(ctx: Context, where: Path, lifecycle: Callable[[TrackedUpload], None]) -> tuple[trace.Trace, list[Promise]]:
    """Run a life on a store of its own in another process."""
    top, marks = where / "store", where / "marks"
    top.mkdir()
    assert ctx.harness.traced is not None, "needs traced"
    life = Life(ctx.harness.traced(top), lifecycle, NAME, ctx.seed, planted_now(), marks, promises=where / "promises")
    recording = _watched(where, "layerstore_conformance.promises.traced", life)
    return recording, pickle.loads(life.promises.read_bytes())  # noqa: S301  (our own)


def _watched(where: Path, module: str, life: Life | Objects, failing_sync: int = 0) -> trace.Trace:
    """Run a module on a life, and return what the kernel was asked for."""
    (where / "life").write_bytes(pickle.dumps(life))
    words = [sys.executable, "-P", "-m", module, str(where / "life")]
    path = os.pathsep.join(filter(None, sys.path))
    trace.run(words, where / "calls", failing_sync=failing_sync, env={**os.environ, "PYTHONPATH": path})
    recording = trace.Trace(where / "store", life.marks)
    recording.read(where / "calls")
    assert recording.time, "no system call changes anything in the directory: the store is elsewhere"
    return recording


def _trees(ctx: Context, recording: trace.Trace, samples: int = 1) -> Iterator[Tree]:
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


def _check(ctx: Context, top: Path, recording: trace.Trace, tree: Tree, promise: Promise) -> None:
    """Make a tree, and check it as a fresh handle finds it; again when the upload has been ended."""
    with _found(ctx, top, recording, tree) as driver:
        if driver is not None:
            theorem.check_cut_off(LayerService(driver), promise, ctx.random.choice(ENDINGS))


@contextmanager
def _found(ctx: Context, top: Path, recording: trace.Trace, tree: Tree) -> Iterator[CheckedDriver | None]:
    """Make a tree, and open the store that is in it; None if it cannot be made."""
    assert ctx.harness.traced is not None, "needs traced"
    made = rebuild(recording, tree.loss(recording, tree.time), top)
    if made is None:
        yield None
        return
    if ctx.harness.rebuilt is not None:
        ctx.harness.rebuilt(top, made)
    with ctx.handles():
        try:
            yield ctx.at(ctx.harness.traced(top))
        except LayerStoreError as error:
            raise AssertionError(f"after a loss of power: {error}") from error


@scenario("C4", kills=("files-are-not-synced", "directories-are-not-synced"), rows=(169,), needs=("traced", "durable"))
def power_may_be_lost_at_any_moment(ctx: Context) -> None:
    """When power is lost at any moment of a straight upload's life, what was promised is there, and all else goes on.

    A sync that is forgotten shows at no other time.
    """
    lost_at_moments_of(ctx, lifecycles.straight)


@scenario("C4", kills=("files-are-not-synced", "directories-are-not-synced"), rows=(169,), needs=("traced", "durable"))
def power_may_be_lost_while_a_small_layer_is_stored(ctx: Context) -> None:
    """When power is lost at any moment of a small upload, its layer is whole or not there.

    That is what most uploads are: two puts.
    """
    lost_at_moments_of(ctx, lifecycles.unflushed)


@scenario("C4", kills=("files-are-not-synced", "directories-are-not-synced"), rows=(169,), needs=("traced", "durable"))
def power_may_be_lost_while_an_upload_is_cancelled(ctx: Context) -> None:
    """When power is lost after an upload was cancelled, it does not come back.

    A deletion has to be synced, too.
    """
    lost_at_moments_of(ctx, lifecycles.cancelled)


@scenario(
    "C4",
    kills=("files-are-not-synced", "directories-are-not-synced"),
    rows=(169,),
    needs=("traced", "durable"),
    profile="default",
)
def power_may_be_lost_at_any_moment_of_any_life(ctx: Context) -> None:
    """When power is lost at any moment of any life of an upload, what was promised is there, and all else goes on.

    Uploads are resumed, rewound, refused and purged.
    """
    others = [each for each in lifecycles.LIFECYCLES if each.__name__ not in ("straight", "unflushed", "cancelled")]
    for lifecycle in others if ctx.profile == "full" else ctx.random.sample(others, 2):
        lost_at_moments_of(ctx, lifecycle)


@scenario(
    *("C4", "P1", "P2", "M5", "D4", "W6", "W7"),
    kills=("files-are-not-synced", "directories-are-not-synced", "a-put-syncs-its-bytes-last"),
    rows=(169,),
    needs=("traced", "durable"),
)
def power_may_be_lost_between_any_calls(ctx: Context) -> None:
    """When power is lost after a put, a flush, a move or a delete, it is done; in the middle, it is done or not."""
    _lost_between(ctx, "nothing")


@scenario(
    *("C4", "P2", "M5", "W6"),
    kills=("directories-are-not-synced", "files-are-not-synced"),
    rows=(169,),
    needs=("traced", "durable"),
)
def power_may_be_lost_after_another_programs_change(ctx: Context) -> None:
    """When power is lost, what a call has stored is there, also in directories and files that others had not synced.

    A node may have been killed before it has synced a directory that it made, and other programs sync nothing.
    """
    _lost_between(ctx, "other programs")


@scenario(
    *("C4", "W8", "P2", "M5", "E1"),
    kills=("files-are-not-synced", "failed-syncs-are-repeated", "errors-of-the-disk-are-taken-for-a-full-one"),
    rows=(169,),
    needs=("traced", "durable"),
    profile="default",
)
def power_may_be_lost_after_a_sync_has_failed(ctx: Context) -> None:
    """When a sync fails, and is tried again, and power is lost, what was published is there.

    After a sync that failed the system takes lost bytes for stored: the next sync succeeds at once. Nor is the failure
    told as a full disk, which somebody would try to mend by deleting layers.
    """
    for failing in range(1, 1 + ctx.size(trace.FAILING)):  # in all these lives together each sync fails once
        _lost_between(ctx, "failures", failing)


def _lost_between(ctx: Context, amid: Literal["nothing", "other programs", "failures"], failing_sync: int = 0) -> None:
    assert ctx.harness.traced is not None, "needs traced"
    with a_folder() as where:
        top = where / "store"
        top.mkdir()
        life = Objects(ctx.harness.traced(top), planted_now(), where / "marks", where / "states", top, amid)
        recording = _watched(where, "layerstore_conformance.promises.objects", life, failing_sync)
        states: list[State] = pickle.loads(life.states.read_bytes())  # noqa: S301  (our own)
        for number, tree in enumerate(_trees(ctx, recording, samples=0 if failing_sync else 5)):
            between = (tree.time, tree.progress) not in recording.steps
            ctx.step(f"{tree.what} after {tree.time} of {recording.time} calls, {tree.progress} of {len(states)} done")
            ctx.count("losses of power")
            allowed = states[tree.progress : tree.progress + 1 + between]
            with _found(ctx, where / str(number), recording, tree) as driver:
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
    found = {key: driver.get(key, 1 << 20) for key in keys_below(driver, "")}
    for key in {*found, *(key for state in allowed for key in state)}:
        if any(key in state and state[key] is None for state in allowed):
            continue
        data, wanted = found.get(key), [state.get(key) for state in allowed]
        assert data in wanted, f"{key} has {_size(data)}, instead of {' or '.join(map(_size, wanted))}"


def _size(data: bytes | None) -> str:
    return "nothing" if data is None else f"{len(data)} bytes"

"""Losses of power: what a driver that keeps files has not synced is gone, or there, or half there.

An upload's life runs in another process, whose system calls are written down. For moments between two of them, trees of
files are made that a disk may show after it, and on each a fresh handle must find what the store had promised by then.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore import LayerService
from layerstore_conformance.engine.defect import planted_now
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.powerloss import strace
from layerstore_conformance.promises import lifecycles, theorem
from layerstore_conformance.promises.lifecycles import TrackedUpload
from layerstore_conformance.promises.losing import Tree, found, lost_between, one_lost, trees, watched
from layerstore_conformance.promises.traced import Life
from layerstore_conformance.steps.stores import a_folder

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.powerloss.trace import Trace
    from layerstore_conformance.promises.promise import Promise

GROUP = "crash"

NEEDS = ("traced", "durable")

UNSYNCED = ("files-are-not-synced", "directories-are-not-synced")
"""What a loss of power at any moment shows."""

NAME = "conformance/power"

ENDINGS = (theorem.finish_again, theorem.cancel_again)


def lost_at_moments_of(ctx: Context, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """Trace a life, and lose the power at moments of it."""
    with a_folder() as where:
        recording, promises = _traced(ctx, where, lifecycle)
        for number, tree in enumerate(trees(ctx, recording)):
            promise = copy.copy(promises[tree.progress])
            ctx.step(f"{lifecycle.__name__}: {tree.what} after {tree.time} of {recording.time} calls: {promise}")
            ctx.count("losses of power")
            _check(ctx, where / str(number), recording, tree, promise)


def _traced(ctx: Context, where: Path, lifecycle: Callable[[TrackedUpload], None]) -> tuple[Trace, list[Promise]]:
    """Run a life on a store of its own in another process."""
    top, marks = where / "store", where / "marks"
    top.mkdir()
    assert ctx.harness.traced is not None, "needs traced"
    life = Life(ctx.harness.traced(top), lifecycle, NAME, ctx.seed, planted_now(), marks, promises=where / "promises")
    recording = watched(where, "layerstore_conformance.promises.traced", life)
    return recording, pickle.loads(life.promises.read_bytes())  # noqa: S301  (our own)


def _check(ctx: Context, top: Path, recording: Trace, tree: Tree, promise: Promise) -> None:
    """Make a tree, and check it as a fresh handle finds it; again when the upload has been ended."""
    with found(ctx, top, recording, tree) as driver:
        if driver is not None:
            theorem.check_cut_off(LayerService(driver), promise, ctx.random.choice(ENDINGS))


@scenario("C4", kills=UNSYNCED, rows=(169,), needs=NEEDS)
def power_may_be_lost_at_any_moment(ctx: Context) -> None:
    """When power is lost at any moment of a straight upload's life, what was promised is there, and all else goes on.

    A sync that is forgotten shows at no other time.
    """
    lost_at_moments_of(ctx, lifecycles.straight)


@scenario("C4", kills=UNSYNCED, rows=(169,), needs=NEEDS, profile="default")
def power_may_be_lost_while_a_small_layer_is_stored(ctx: Context) -> None:
    """When power is lost at any moment of a small upload, its layer is whole or not there.

    That is what most uploads are: two puts.
    """
    lost_at_moments_of(ctx, lifecycles.unflushed)


@scenario("C4", kills=UNSYNCED, rows=(169,), needs=NEEDS, profile="default")
def power_may_be_lost_while_an_upload_is_cancelled(ctx: Context) -> None:
    """When power is lost after an upload was cancelled, it does not come back.

    A deletion has to be synced, too.
    """
    lost_at_moments_of(ctx, lifecycles.cancelled)


@scenario("C4", kills=UNSYNCED, rows=(169,), needs=NEEDS, profile="default")
def power_may_be_lost_at_any_moment_of_any_life(ctx: Context) -> None:
    """When power is lost at any moment of any life of an upload, what was promised is there, and all else goes on.

    Uploads are resumed, rewound, refused and purged.
    """
    others = [each for each in lifecycles.LIFECYCLES if each.__name__ not in ("straight", "unflushed", "cancelled")]
    for lifecycle in others if ctx.profile == "full" else ctx.random.sample(others, 2):
        lost_at_moments_of(ctx, lifecycle)


@scenario(
    *("C4", "P1", "P2", "M5", "D4", "W6", "W7"),
    kills=(*UNSYNCED, "a-put-syncs-its-bytes-last"),
    rows=(169,),
    needs=NEEDS,
)
def power_may_be_lost_between_any_calls(ctx: Context) -> None:
    """When power is lost after a put, a flush, a move or a delete, it is done; in the middle, it is done or not."""
    lost_between(ctx, "nothing", partial(trees, samples=5))


@scenario(
    *("C4", "P2", "M5", "W6"),
    kills=UNSYNCED,
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_after_another_programs_change(ctx: Context) -> None:
    """When power is lost, what a call has stored is there, also in directories and files that others had not synced.

    A node may have been killed before it has synced a directory that it made, and other programs sync nothing.
    """
    lost_between(ctx, "other programs", partial(trees, samples=5))


@scenario(
    *("C4", "W6"),
    kills=UNSYNCED,
    rows=(161, 169),
    needs=(*NEEDS, "shared", "fork"),
    profile="default",
)
def power_may_be_lost_after_a_process_was_killed(ctx: Context) -> None:
    """When power is lost, what a flush of nothing new has answered for is there, though who published it was killed.

    A process may be killed between a change and its sync. Who finds the change, and flushes, makes it durable.
    """
    lost_between(ctx, "killed processes", partial(trees, samples=0))


@scenario(
    *("C4", "W8", "P2", "M5", "E1", "E4"),
    kills=(
        *("files-are-not-synced", "failed-syncs-are-repeated", "errors-of-the-disk-are-taken-for-a-full-one"),
        *("a-failed-flush-fences-its-writer", "a-failed-flush-shows"),
    ),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_after_a_sync_has_failed(ctx: Context) -> None:
    """When a sync fails, and is tried again, and power is lost, what was published is there.

    After a sync that failed the system takes lost bytes for stored: the next sync succeeds at once. What a call that
    failed has done is seen as a whole, or not at all, and nobody is fenced by it. Nor is the failure told as a full
    disk, which somebody would try to mend by deleting layers.
    """
    for failing in range(1, 1 + ctx.size(strace.FAILING)):  # in all these lives together each sync fails once
        lost_between(ctx, "failures", partial(trees, samples=0), failing_sync=failing)


@scenario(
    *("C4", "W7", "P1", "P2", "M2", "M5", "D4"),
    kills=(*UNSYNCED, "writes-visible-at-once"),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_while_writers_hold_unflushed_bytes(ctx: Context) -> None:
    """When an object is replaced, moved or deleted while its writer is open, what it has not flushed never appears.

    If a loss of power brings the earlier object back, it must come without the bytes of its writer.
    """
    lost_between(ctx, "open writers", one_lost)


@scenario(
    *("C4", "W6", "W7", "F4"),
    kills=(*UNSYNCED, "writes-visible-at-once"),
    rows=(169,),
    needs=NEEDS,
    profile="default",
)
def power_may_be_lost_of_one_file_alone(ctx: Context) -> None:
    """When one file or directory is behind all others after a loss of power, or ahead, nothing unflushed appears.

    It is so after a write, a flush, a discard and a takeover, and after each sync amid these: a disk stores what was
    not synced in any order.
    """
    lost_between(ctx, "unflushed bytes", one_lost)

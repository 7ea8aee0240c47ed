"""Crashes: the process of an upload is killed at any moment, and another process finds what the store promised.

Every driver call of a lifecycle has a number. The fork server forks a worker, which is killed by SIGKILL before a call,
after it, or with half of a write handed over. Then another process opens the store anew; it has nothing of the dead
worker's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.promises import lifecycles, theorem
from layerstore_conformance.promises.forkserver import ExitRecord, ForkServer, Plan
from layerstore_conformance.promises.killing import CutPoint, Moment
from layerstore_conformance.promises.lifecycles import CHUNK, TrackedUpload
from layerstore_conformance.steps.watching import CHANGES

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call
    from layerstore_conformance.promises.theorem import Ending

GROUP = "crash"

LARGE = 300_000
"""Bytes of a chunk that is hashed in a second thread while it is written."""

SAMPLES = {"quick": 2, "default": 8}
"""Cut points of each lifecycle, beside those that are always tried; the full profile tries every one, twice."""

Around = tuple[Moment, str, str, int]
"""A cut point that is always tried: a moment, a method, a text in its key, and which of these calls."""

FIRST, LAST = 0, -1


def killed_everywhere(
    ctx: Context, lifecycle: Callable[[TrackedUpload], None], *always: Around, chunk: int = CHUNK
) -> None:
    """Kill a worker at each cut point of a lifecycle that the profile asks for, and check what it leaves.

    After some cut points the upload is finished, and after the others cancelled; after the cut points in ``always`` it
    is finished.
    """
    ctx.open().put("begun", b"")  # the store is there even if a worker dies before it makes one
    with ForkServer.of(ctx) as server:
        (whole,) = server.run([Plan(lifecycle, "whole", seed=ctx.seed, chunk=chunk)])
        check(ctx, whole, theorem.finish_again)
        chosen = list(choose(ctx, whole.calls, always))
        plans = [Plan(lifecycle, f"cut-{number}", cut, ctx.seed, chunk) for number, (cut, _) in enumerate(chosen)]
        for ended, (_, ending) in zip(server.run(plans), chosen, strict=True):
            check(ctx, ended, ending)
            ctx.count("cut points")


def check(ctx: Context, ended: ExitRecord, ending: Ending) -> None:
    """Check the theorem on the store that a worker has left; the worker must have been killed as planned."""
    ctx.step(f"{ended.plan.lifecycle.__name__}: {ended}")
    with ctx.handles():
        theorem.check_cut_off(ended.service(ctx.open()), ended.promise(), ending)


def choose(ctx: Context, calls: list[Call], always: tuple[Around, ...]) -> Iterator[tuple[CutPoint, Ending]]:
    """Yield cut points, each with the way to end the upload that is left there."""
    if ctx.profile == "full":
        yield from ((cut, ending) for cut in points(calls) for ending in (theorem.finish_again, theorem.cancel_again))
        return
    needed = {cut for each in always for cut in around(calls, each)}
    yield from ((cut, theorem.finish_again) for cut in sorted(needed))
    others = [cut for cut in points(calls) if cut not in needed and calls[cut.call].method in CHANGES]
    sampled = ctx.random.sample(others, min(len(others), ctx.size(SAMPLES[ctx.profile])))
    yield from ((cut, (theorem.cancel_again, theorem.finish_again)[turn % 2]) for turn, cut in enumerate(sampled))


def points(calls: list[Call]) -> Iterator[CutPoint]:
    """Yield every cut point of a lifecycle: before and after each call, and in the middle of each write."""
    for number, call in enumerate(calls):
        yield CutPoint(number, "before")
        if call.method == "write_at":
            yield CutPoint(number, "middle")
        yield CutPoint(number, "after")


def around(calls: list[Call], wanted: Around) -> Iterator[CutPoint]:
    """Yield this cut point, if there is such a call."""
    moment, method, part, which = wanted
    found = [number for number, call in enumerate(calls) if call.method == method and part in call.key]
    if found:
        yield CutPoint(found[which], moment)


@scenario(
    *("W6", "W7", "M2", "P1", "P2"),
    kills=(
        *("startedat-comes-with-the-second-flush", "flush-is-put-off", "linked-before-moved", "no-intent"),
        "finish-removes-before-it-links",
    ),
    rows=(161, 173),
    needs=("shared", "url"),
)
def a_straight_upload_whose_process_is_killed_goes_on(ctx: Context) -> None:
    """When the process of a straight upload is killed at any driver call, another process can end the upload.

    Machines restart in the middle of everything. Every acknowledged byte must be there, and no half of a layer.
    """
    killed_everywhere(
        ctx,
        lifecycles.straight,
        ("before", "publish", "/data", FIRST),
        ("after", "publish", "/data", FIRST),
        ("after", "move", "/data", FIRST),
        ("after", "put", "/link", FIRST),
        ("after", "delete", "/startedat", FIRST),
    )


@scenario(*("P1", "P2"), kills=("small-layer-is-linked-first",), rows=(161, 173), needs=("shared", "url"))
def a_small_upload_whose_process_is_killed_leaves_nothing_or_a_layer(ctx: Context) -> None:
    """A kill during the upload of a small layer leaves nothing, the blob alone, or the whole layer."""
    killed_everywhere(
        ctx,
        lifecycles.unflushed,
        ("after", "put", "/data", FIRST),
        ("after", "put", "/link", FIRST),
    )


@scenario(
    *("W6", "W7", "M2", "P1"),
    kills=("linked-before-moved", "leftovers-are-no-finding", "leftovers-are-not-purged"),
    rows=(161, 173),
    needs=("shared", "url"),
    profile="default",
)
def an_upload_killed_before_its_first_flush_is_purged(ctx: Context) -> None:
    """A kill during a large upload that was never flushed leaves a layer, or a leftover that a purge removes.

    The store has promised nothing of that upload, but the leftover takes up room.
    """
    killed_everywhere(
        ctx,
        lifecycles.unflushed_large,
        ("middle", "write_at", "/data", FIRST),
        ("after", "publish", "/data", FIRST),
        ("after", "move", "/data", FIRST),
        ("after", "put", "/link", FIRST),
    )


@scenario(
    *("W1", "W6", "W7", "F1"),
    kills=("resumed-upload-stays-taken",),
    rows=(161, 173),
    needs=("shared", "url"),
)
def a_resumed_upload_whose_process_is_killed_is_resumed_again(ctx: Context) -> None:
    """An upload that was resumed four times, and whose process is killed at any driver call, can be resumed again.

    A node that died cannot give back what it held.
    """
    killed_everywhere(
        ctx,
        lifecycles.resumed,
        ("before", "write_at", "/data", LAST),
        ("after", "publish", "/data", FIRST),
    )


@scenario(
    *("W5", "W6", "W7", "S2"),
    kills=("state-is-saved-before-the-data", "rewinding-truncates-first"),
    rows=(159, 161, 173),
    needs=("shared", "url"),
)
def a_rewound_upload_whose_process_is_killed_keeps_what_it_had(ctx: Context) -> None:
    """When a process is killed while it rewrites the end of an upload, the upload has the old end or the new one.

    A saved hash state that is ahead of the bytes would make a right layer out of wrong bytes.
    """
    killed_everywhere(
        ctx,
        lifecycles.last_rewritten,
        ("before", "write_at", "/data", LAST),
        ("before", "publish", "/data", LAST),
    )


@scenario(
    *("W5", "W7", "S2", "F1"),
    kills=("rewinding-truncates-first", "resumed-upload-stays-taken"),
    rows=(159, 161, 173),
    needs=("shared", "url"),
    profile="default",
)
def a_rewritten_upload_whose_process_is_killed_never_shrinks(ctx: Context) -> None:
    """When a process is killed while it rewrites the middle of an upload, the upload has lost no byte."""
    killed_everywhere(
        ctx,
        lifecycles.middle_rewritten,
        ("before", "write_at", "/data", LAST),
        ("middle", "write_at", "/data", LAST),
        ("after", "put", "/state", LAST),
    )


@scenario("W4", "W7", kills=("gap-is-published-first",), rows=(161, 173), needs=("shared", "url"))
def a_sparse_upload_whose_process_is_killed_has_no_gap_before_its_time(ctx: Context) -> None:
    """When a process is killed while it writes beyond the end of an upload, the upload is as it was last flushed."""
    killed_everywhere(
        ctx,
        lifecycles.sparse,
        ("before", "write_at", "/data", LAST),
        ("middle", "write_at", "/data", LAST),
    )


@scenario("M1", "M2", "M4", kills=("seen-until-it-is-refused", "no-intent"), rows=(161, 173), needs=("shared", "url"))
def a_refused_upload_whose_process_is_killed_is_not_seen(ctx: Context) -> None:
    """A kill during a finish with a wrong digest, or with the right one after it, never makes wrong bytes visible.

    A client that fetches a digest while the finish is refused must not get the wrong bytes.
    """
    killed_everywhere(
        ctx,
        lifecycles.wrong_then_right,
        ("after", "put", "/blobs/", FIRST),
        ("after", "move", "/data", FIRST),
    )


@scenario(
    *("D1", "D3", "D4"),
    kills=("cancel-removes-the-beginning-last", "cancel-forgets-startedat"),
    rows=(161, 171, 173),
    needs=("shared", "url"),
)
def a_cancel_whose_process_is_killed_is_done_or_not_begun(ctx: Context) -> None:
    """When a process is killed at any driver call of an upload that ends in a cancel, the upload is intact or gone.

    If it is gone, the next cancel or resume removes the keys that are left of it.
    """
    killed_everywhere(
        ctx,
        lifecycles.cancelled,
        ("after", "delete", "/startedat", FIRST),
        ("after", "delete", "/data", FIRST),
    )


@scenario(*("D3", "D4", "M4"), kills=("purge-removes-the-data-first",), rows=(161, 173), needs=("shared", "url"))
def a_purge_whose_process_is_killed_is_completed_by_the_next(ctx: Context) -> None:
    """When a purge is killed at any call, the upload is intact, or cannot be resumed and the next purge removes it.

    If half of an upload is purged and a client resumes the rest at offset 0, bytes are lost that the client believes
    stored.
    """
    killed_everywhere(
        ctx,
        lifecycles.purged,
        ("after", "move", "/data", FIRST),
        ("after", "delete", "/data", FIRST),
        ("after", "delete", "/startedat", FIRST),
    )


@scenario(
    *("M1", "M2", "P1"),
    kills=("existing-blob-is-deleted-first", "no-intent"),
    rows=(161, 173),
    needs=("shared", "url"),
    profile="default",
)
def a_second_upload_of_a_layer_whose_process_is_killed_leaves_the_first(ctx: Context) -> None:
    """A layer stays there and whole while it is uploaded a second time, whenever that process is killed."""
    killed_everywhere(
        ctx,
        lifecycles.twice,
        ("before", "move", "/data", LAST),
        ("after", "move", "/data", LAST),
    )


@scenario(
    *("W2", "W6", "W7"),
    kills=("writes-visible-at-once", "flush-is-put-off"),
    rows=(161, 173),
    needs=("shared", "url"),
    profile="default",
)
def an_upload_killed_while_a_thread_hashes_goes_on(ctx: Context) -> None:
    """When a process is killed while a second thread hashes its upload, another process can end the upload."""
    killed_everywhere(
        ctx,
        lifecycles.straight,
        ("before", "publish", "/data", FIRST),
        ("middle", "write_at", "/data", FIRST),
        ("middle", "write_at", "/data", LAST),
        chunk=LARGE,
    )

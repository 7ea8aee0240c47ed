"""Crashes: a process that uploads is killed at any moment, and another one finds what it was promised.

Every driver call of a life is numbered, and a child process is killed, by SIGKILL, before a call, after it, or with
half of a write handed over. Then the store is opened anew, by a process that has nothing of the dead one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerstore_conformance import lifecycles, theorem
from layerstore_conformance.crashing import Death, Plan, Zygote
from layerstore_conformance.killing import CutPoint, Side
from layerstore_conformance.lifecycles import CHUNK, Life
from layerstore_conformance.scenario import scenario
from layerstore_conformance.watching import CHANGES

if TYPE_CHECKING:
    from layerstore.observed import Call
    from layerstore_conformance.context import Context
    from layerstore_conformance.theorem import Ending

GROUP = "crash"

LARGE = 300_000
"""Bytes of a chunk that is hashed in a second thread while it is written."""

SAMPLES = {"quick": 2, "default": 8}
"""Cut points of each life, beside those that are always among them; in the full profile it is every one, twice."""

Around = tuple[Side, str, str, int]
"""A cut point that is always among them: a side of a method's call on a key that holds this text; which of them."""

FIRST, LAST = 0, -1


def killed_everywhere(ctx: Context, lifecycle: Callable[[Life], None], *always: Around, chunk: int = CHUNK) -> None:
    """Kill a child that lives a life at each cut point that the profile asks for, and check what it leaves.

    What is left is finished after some, and cancelled after the others; after those of ``always`` it is finished.
    """
    ctx.open().put("begun", b"")  # a store that is there, whatever a child that dies early has not made
    with Zygote.of(ctx) as zygote:
        (whole,) = zygote.live([Plan(lifecycle, "whole", seed=ctx.seed, chunk=chunk)])
        check(ctx, whole, theorem.finish_again)
        chosen = list(choose(ctx, whole.calls, always))
        plans = [Plan(lifecycle, f"cut-{number}", cut, ctx.seed, chunk) for number, (cut, _) in enumerate(chosen)]
        for death, (_, ending) in zip(zygote.live(plans), chosen, strict=True):
            check(ctx, death, ending)
            ctx.count("cut points")


def check(ctx: Context, death: Death, ending: Ending) -> None:
    """Check the theorem on the store that a child has left, which was killed as it was to be."""
    ctx.step(f"{death.plan.lifecycle.__name__}: {death}")
    with ctx.handles():
        theorem.check_cut_off(death.service(ctx.open()), death.promise(), ending)


def choose(ctx: Context, calls: list[Call], always: tuple[Around, ...]) -> Iterator[tuple[CutPoint, Ending]]:
    """Yield cut points, and how what is left there comes to its end."""
    if ctx.profile == "full":
        yield from ((cut, ending) for cut in points(calls) for ending in (theorem.finish_again, theorem.cancel_again))
        return
    needed = {cut for each in always for cut in around(calls, each)}
    yield from ((cut, theorem.finish_again) for cut in sorted(needed))
    others = [cut for cut in points(calls) if cut not in needed and calls[cut.call].method in CHANGES]
    sampled = ctx.random.sample(others, min(len(others), ctx.size(SAMPLES[ctx.profile])))
    yield from ((cut, (theorem.cancel_again, theorem.finish_again)[turn % 2]) for turn, cut in enumerate(sampled))


def points(calls: list[Call]) -> Iterator[CutPoint]:
    """Yield every cut point of a life: before each call and after it, and in the middle of every write."""
    for number, call in enumerate(calls):
        yield CutPoint(number, "before")
        if call.method == "write_at":
            yield CutPoint(number, "middle")
        yield CutPoint(number, "after")


def around(calls: list[Call], wanted: Around) -> Iterator[CutPoint]:
    """Yield the cut point that this means; none if there is no such call."""
    side, method, part, which = wanted
    found = [number for number, call in enumerate(calls) if call.method == method and part in call.key]
    if found:
        yield CutPoint(found[which], side)


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
    """A straight upload whose process is killed at any driver call is as promised, and another process can end it.

    Machines are restarted in the middle of everything; what was acknowledged must be there, and no half of a layer.
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
    """Of a layer that is finished while it is gathered a kill at any call leaves nothing, its blob, or all of it."""
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
)
def an_upload_killed_before_its_first_flush_is_purged(ctx: Context) -> None:
    """What is left of a large layer whose process is killed at any call is a layer, or a leftover that a purge takes.

    Nobody was promised to find it again; but it takes up room.
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
    """An upload resumed four times, whose process is killed at any driver call, is resumed from another process.

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
    """An upload that writes its end again, and whose process is killed at any driver call, has the old end or the new.

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
)
def a_rewritten_upload_whose_process_is_killed_never_shrinks(ctx: Context) -> None:
    """An upload resumed to write its middle again, whose process is killed at any driver call, has lost nothing."""
    killed_everywhere(
        ctx,
        lifecycles.middle_rewritten,
        ("before", "write_at", "/data", LAST),
        ("middle", "write_at", "/data", LAST),
        ("after", "put", "/state", LAST),
    )


@scenario("W4", "W7", kills=("gap-is-published-first",), rows=(161, 173), needs=("shared", "url"))
def a_sparse_upload_whose_process_is_killed_has_no_gap_before_its_time(ctx: Context) -> None:
    """An upload that writes beyond its end, and whose process is killed at any driver call, is as it was flushed."""
    killed_everywhere(
        ctx,
        lifecycles.sparse,
        ("before", "write_at", "/data", LAST),
        ("middle", "write_at", "/data", LAST),
    )


@scenario("M1", "M2", "M4", kills=("seen-until-it-is-refused", "no-intent"), rows=(161, 173), needs=("shared", "url"))
def a_refused_upload_whose_process_is_killed_is_not_seen(ctx: Context) -> None:
    """An upload finished with a wrong digest, then the right one, whose process is killed at any driver call, is whole.

    Whoever fetches a digest while it is being refused must not get the wrong bytes.
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
    """An upload whose process is killed at any driver call until it was cancelled is as promised, or gone.

    What is left of one that is gone is taken away by whoever cancels or resumes it once more.
    """
    killed_everywhere(
        ctx,
        lifecycles.cancelled,
        ("after", "delete", "/startedat", FIRST),
        ("after", "delete", "/data", FIRST),
    )


@scenario(*("D3", "D4", "M4"), kills=("purge-removes-the-data-first",), rows=(161, 173), needs=("shared", "url"))
def a_purge_whose_process_is_killed_is_completed_by_the_next(ctx: Context) -> None:
    """An upload whose purge is killed at any driver call is as promised, or cannot be resumed and goes with the next.

    An upload of which half is purged, and which is resumed at offset 0, has lost what its client believes is stored.
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
)
def a_second_upload_of_a_layer_whose_process_is_killed_leaves_the_first(ctx: Context) -> None:
    """A layer is there and whole while it is uploaded once more, whenever the process that does so is killed."""
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
)
def an_upload_killed_while_a_thread_hashes_goes_on(ctx: Context) -> None:
    """An upload in chunks that a second thread hashes, whose process is killed at any driver call, is as promised."""
    killed_everywhere(
        ctx,
        lifecycles.straight,
        ("before", "publish", "/data", FIRST),
        ("middle", "write_at", "/data", FIRST),
        ("middle", "write_at", "/data", LAST),
        chunk=LARGE,
    )

"""Faults: the backend fails at any call, in any way that it may, and the work is brought to its end all the same.

:mod:`layerstore_conformance.faults.plan` says how calls fail and which clauses allow it,
:mod:`layerstore_conformance.faults.playing` which work is done meanwhile and how it goes on.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.faults.plan import FaultPlan
from layerstore_conformance.faults.playing import LARGE, dealt, play, under_each

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "faults"


@scenario(
    *("E4", "W2", "W8", "M2", "P1", "D2", "D4"),
    kills=(
        "no-intent",
        "finish-forgets-what-it-did",
        "moved-blob-is-unknown",
        "linked-before-moved",
        "flush-is-put-off",
    ),
    rows=(164, 170),
)
def a_straight_upload_outlives_a_fault(ctx: Context) -> None:
    """A straight upload is finished once though any one of its driver calls fails, is lost or is done in part.

    The same handle finishes it, or another one that resumes it. Answers are lost on the way every day.
    """
    under_each(
        ctx,
        "straight",
        ("move#1:fail-after", "endured"),  # moved, and said to have failed
        ("move#1:fail-after", "finished_anew"),
        ("move#1:torn", "endured"),
        ("move#1:fail-before", "finished_anew"),
        ("put#3:fail-after", "endured"),  # the intent
        ("put#4:fail-before", "endured"),  # the link
        ("delete#1:fail-after", "endured"),
        ("delete#2:torn", "finished_anew"),
    )


@scenario("E4", "P1", "P2", kills=("half-finished-is-finished",), rows=(164, 170))
def a_small_upload_outlives_a_fault(ctx: Context) -> None:
    """A layer that is finished while it is gathered is stored once though any one of its driver calls fails."""
    under_each(
        ctx,
        "unflushed",
        ("put#1:fail-before", "endured"),  # the blob
        ("put#1:fail-after", "finished_anew"),
        ("put#2:fail-before", "endured"),  # the link
        ("put#2:fail-after", "cancelled_anew"),
        ("stat#1:fail-before", "endured"),  # the look
    )


@scenario("E4", "M1", "M2", kills=("finish-forgets-what-it-did",), rows=(164, 170))
def an_upload_that_was_not_flushed_outlives_a_fault(ctx: Context) -> None:
    """A large upload that was never flushed is finished once though any one of its driver calls fails."""
    under_each(
        ctx,
        "unflushed_large",
        ("write_at#1:torn", "endured"),
        ("publish#1:fail-after", "endured"),
        ("move#1:fail-after", "endured"),
        ("move#1:torn", "endured"),
        ("move#1:torn", "finished_anew"),
        ("put#1:fail-before", "endured"),
    )


@scenario(
    *("E4", "W6", "W8", "F1"),
    kills=("failed-close-is-forgotten", "resumed-at-zero"),
    rows=(164, 170),
)
def a_resumed_upload_outlives_a_fault(ctx: Context) -> None:
    """An upload resumed four times is finished once though any one of its driver calls fails, is lost or done in part.

    When a flush or a close has returned, the bytes are stored, whether it was the first try or the second.
    """
    under_each(
        ctx,
        "resumed",
        ("publish#1:fail-before", "endured"),  # before others know of the upload
        ("publish#2:fail-before", "endured"),  # and after
        ("publish#3:fail-before", "endured"),
        ("publish#4:fail-after", "endured"),
        ("open_writer#2:fail-after", "finished_anew"),
    )


@scenario(
    *("W2", "W5", "W8", "R5", "S2"),
    kills=("state-is-saved-before-the-data", "refused-bytes-are-hashed", "failed-flush-is-not-tried-again"),
    rows=(159, 164),
)
def a_rewound_upload_outlives_a_fault(ctx: Context) -> None:
    """An upload that rewrites its end is finished once though any one of its driver calls fails.

    Refused bytes may be stored or not: the finish verifies the bytes that are stored.
    """
    under_each(
        ctx,
        "last_rewritten",
        ("write_at#4:torn", "yielded"),
        ("write_at#3:fail-before", "yielded"),
        ("write_at#4:short", "finished_anew"),
        ("publish#4:fail-before", "endured"),
        ("publish#5:fail-before", "finished_anew"),
    )
    play(ctx, "last_rewritten", "write_at#4:torn", "yielded", chunk=LARGE)


@scenario("W2", "W5", "W8", "F1", kills=("rewinding-truncates-first", "cursor-not-cut-on-rewrite"), rows=(159, 164))
def a_rewritten_upload_outlives_a_fault(ctx: Context) -> None:
    """An upload that was resumed to rewrite its middle is finished once though any one of its driver calls fails."""
    under_each(
        ctx,
        "middle_rewritten",
        ("write_at#2:torn", "yielded"),
        ("write_at#2:fail-after", "yielded"),
        ("write_at#2:fail-before", "finished_anew"),
        ("open_writer#2:fail-after", "endured"),
    )


@scenario("W2", "W4", "R5", kills=("gap-is-published-first", "gap-is-not-hashed"), rows=(164, 170))
def a_sparse_upload_outlives_a_fault(ctx: Context) -> None:
    """An upload that writes beyond its end is finished once though any one of its driver calls fails."""
    under_each(
        ctx,
        "sparse",
        ("publish#3:fail-after", "finished_anew"),
        ("write_at#2:fail-before", "yielded"),
        ("read_at#1:short", "endured"),
    )


@scenario("E4", "M2", "M4", kills=("seen-until-it-is-refused",), rows=(142, 164))
def a_refused_upload_outlives_a_fault(ctx: Context) -> None:
    """An upload finished with a wrong digest and then the right one is finished once though any driver call fails."""
    under_each(
        ctx,
        "wrong_then_right",
        ("delete#1:fail-before", "finished_anew"),
        ("move#1:fail-before", "finished_anew"),
        ("move#1:torn", "cancelled_anew"),
    )


@scenario(*("E4", "D2", "D4"), kills=("failed-cancel-counts", "cancel-removes-the-beginning-last"), rows=(164, 171))
def a_cancel_outlives_a_fault(ctx: Context) -> None:
    """A cancelled upload is gone, and nothing of it is left, though any one of its driver calls fails.

    A cancel that failed half way may be repeated, by the same handle or by another one.
    """
    under_each(
        ctx,
        "cancelled",
        ("delete#1:fail-before", "endured"),
        ("delete#2:torn", "cancelled_anew"),
        ("delete#2:torn", "finished_anew"),
        ("delete#3:fail-before", "finished_anew"),
    )


@scenario("E4", "M4", "D4", kills=("cancel-removes-the-beginning-last",), rows=(164, 171))
def a_purge_outlives_a_fault(ctx: Context) -> None:
    """An upload that is purged while it is open is gone in the end, though any one driver call fails.

    Until then it is intact, or cannot be resumed; it is never there with bytes missing.
    """
    under_each(
        ctx,
        "purged",
        ("move#1:fail-after", "endured"),
        ("move#1:fail-after", "finished_anew"),
        ("move#1:torn", "endured"),
        ("delete#3:fail-before", "finished_anew"),
        ("delete#4:fail-before", "finished_anew"),
    )


@scenario("M1", "M2", "P1", kills=("existing-blob-is-deleted-first", "no-intent"), rows=(164, 170))
def a_second_upload_of_a_layer_outlives_a_fault(ctx: Context) -> None:
    """A layer that is uploaded a second time stays there and whole all the time, though any one driver call fails."""
    under_each(
        ctx,
        "twice",
        ("move#1:fail-before", "finished_anew"),
        ("move#1:fail-after", "endured"),
        ("move#1:torn", "endured"),
    )


@scenario("W2", "W6", "T1", kills=("torn-bytes-stay-hashed",), rows=(164,))
def an_upload_that_a_thread_hashes_outlives_a_fault(ctx: Context) -> None:
    """An upload that a second thread hashes is finished once though any driver call fails or takes long."""
    always = ("write_at#3:fail-before", "yielded"), ("write_at#3:slow", "endured")
    under_each(ctx, "straight", *always, chunk=LARGE)
    play(ctx, "last_rewritten", "write_at#4:torn", "yielded", chunk=LARGE)


@scenario("P1", "M2", "F3", kills=("failed-link-is-forgotten",), rows=(158, 164))
def a_layer_of_several_names_outlives_a_fault(ctx: Context) -> None:
    """A layer finished by a sha512 and then by a tarsum has all its names though any one driver call fails."""
    always = ("put#2:fail-before", "endured"), ("put#3:fail-after", "endured"), ("publish#1:fail-after", "endured")
    under_each(ctx, "named_otherwise", *always)


@scenario("R4", "R5", kills=("drips-passed-on", "failed-read-skips"), rows=(170,))
def a_layer_read_outlives_a_fault(ctx: Context) -> None:
    """A layer that is read in pieces is read whole though any one driver call fails or returns fewer bytes."""
    always = ("read_at#2:short", "endured"), ("read_at#3:fail-before", "endured")
    under_each(ctx, "read", *always)


@scenario("L4", "D2", "E4", kills=("stale-listing-is-an-error",), rows=(164, 171))
def keeping_house_outlives_a_fault(ctx: Context) -> None:
    """Mounts, unlinks, cancels, listings, a purge and a collection have the same result though any driver call fails.

    In a store with several users, a listing may name a key that has just been deleted.
    """
    always = ("list/1@0:stale", "endured"), ("move#3:fail-after", "endured"), ("move#4:torn", "endured")
    under_each(ctx, "kept_house", *always)


@scenario("E1", "E4", "W2", "W8", "P1", kills=("full-disk-ends-the-upload",), rows=(164,))
def a_full_disk_is_outlived(ctx: Context) -> None:
    """An upload that finds the backend full raises NoSpaceError, and goes on from any byte when there is room again.

    Disks are full sooner or later. When the operator has made room, the upload must not begin anew.
    """
    for full in (0, 20, 4000, 9500):
        play(ctx, "resumed", f"full:{full}", "endured")
    dealt(ctx, lambda number: f"full:{random.Random(number).randrange(20_000)}")


@scenario("E4", "W8", "M2", "D4", kills=("no-intent", "finish-forgets-what-it-did"), rows=(164, 170))
def two_faults_are_outlived(ctx: Context) -> None:
    """Every lifecycle comes to its end though any two or three of its calls fail, are lost or are done in part."""
    calls = play(ctx, "resumed", "").counted()
    for second in ("list#1:fail-before", "stat#8:fail-before", "put#9:fail-after", "delete#1:fail-after"):
        play(ctx, "resumed", f"move#1:fail-after {second}", "endured")
    dealt(ctx, lambda number: str(FaultPlan.random(number, calls, 2 + number % 2)))


@scenario("E4", "W8", "M2", "D4", kills=("finish-forgets-what-it-did",), rows=(164, 170))
def a_flaky_backend_is_outlived(ctx: Context) -> None:
    """Every lifecycle comes to its end though one call in so many fails, or takes effect and is reported as failed."""
    play(ctx, "straight", "any/9@1:fail-before move#1:fail-after", "endured")
    dealt(ctx, _flaky)


def _flaky(number: int) -> str:
    choose = random.Random(number)
    kinds = choose.sample(("fail-before", "fail-after", "torn", "short", "slow"), 2)
    return " ".join(f"any/{choose.randrange(5, 20)}@{number}:{kind}" for kind in kinds)

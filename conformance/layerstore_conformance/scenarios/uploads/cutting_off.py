"""Uploads cut off: a lifecycle stops before any driver call, everything is dropped, and the upload goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, get_args

from layerstore import LayerService
from layerstore.checked import CheckedDriver
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.cutting import Cut, CutObserver, PiecemealDriver, Side
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.promises import lifecycles, theorem
from layerstore_conformance.promises.lifecycles import TrackedUpload
from layerstore_conformance.steps.expectations import expect_layer, expect_stored
from layerstore_conformance.steps.watching import CHANGES, Trap, number, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "resume"
IDS = "resuming"


def run_lifecycle(
    ctx: Context, lifecycle: Callable[[TrackedUpload], None], observer: CutObserver, place: str
) -> TrackedUpload:
    """Run a lifecycle in a place of its own as far as the observer lets it, and drop every handle unclosed."""
    driver = CheckedDriver(PiecemealDriver(PrefixedDriver(ctx.driver, place), observer))
    tracked = TrackedUpload(LayerService(driver), "cut/off", seed=ctx.seed)
    with suppress(Cut):
        lifecycle(tracked)
    tracked.abandon()
    return tracked


def cut_off_everywhere(ctx: Context, lifecycle: Callable[[TrackedUpload], None]) -> None:
    """Cut a lifecycle off at every driver call that changes something; finish or cancel, in turns, what is left.

    Except in the full profile, a long lifecycle is cut off at every second or third call, from a random one on.
    """
    whole = CutObserver(1 << 30, "before")
    tracked = run_lifecycle(ctx, lifecycle, whole, "whole")
    assert tracked.finished or tracked.cancelled
    cuts = [at for at, call in enumerate(whole.calls) if call.method in CHANGES]
    stride = 1 if ctx.profile == "full" else -(-len(cuts) // ctx.size(12))
    for turn, passing in enumerate(cuts[ctx.seed % stride :: stride]):
        ctx.step(f"cut off before call {passing}, {whole.calls[passing].method}")
        tracked = run_lifecycle(ctx, lifecycle, CutObserver(passing, "before"), f"cut-{passing}")
        service = LayerService(CheckedDriver(PrefixedDriver(ctx.open(), f"cut-{passing}")))
        theorem.check_store(service.driver)
        if theorem.check_upload(service, tracked):
            (theorem.finish_again, theorem.cancel_again)[turn % 2](service, tracked)
            theorem.check_store(service.driver)


@scenario("W6", "W7", "M2", "P1", kills=("linked-before-moved", "no-intent"), rows=(161, 173), profile="default")
def a_straight_upload_cut_off_anywhere_goes_on(ctx: Context) -> None:
    """A straight upload cut off at any call keeps its promise, shows nothing partial, and can be ended."""
    cut_off_everywhere(ctx, lifecycles.straight)


@scenario("W1", "W6", "W7", kills=("linked-before-moved",), rows=(161, 173), profile="default")
def a_resumed_upload_cut_off_anywhere_goes_on(ctx: Context) -> None:
    """An upload resumed four times and cut off at any driver call keeps its promise, and can be ended."""
    cut_off_everywhere(ctx, lifecycles.resumed)


@scenario("W5", "W7", kills=("cursor-not-cut-on-rewrite",), rows=(161, 173), profile="default")
def a_rewound_upload_cut_off_anywhere_goes_on(ctx: Context) -> None:
    """An upload that rewrote its end and was cut off at any driver call keeps its promise, and can be ended."""
    cut_off_everywhere(ctx, lifecycles.last_rewritten)


@scenario("W5", "S2", kills=("cursor-not-cut-on-rewrite",), rows=(161, 173), profile="default")
def a_rewritten_upload_cut_off_anywhere_goes_on(ctx: Context) -> None:
    """An upload that rewrote its middle and was cut off at any driver call keeps its promise, and can be ended."""
    cut_off_everywhere(ctx, lifecycles.middle_rewritten)


@scenario("W4", "W7", kills=("gap-is-not-hashed",), rows=(161, 173), profile="default")
def a_sparse_upload_cut_off_anywhere_goes_on(ctx: Context) -> None:
    """An upload with a gap that was cut off at any driver call keeps its promise, and can be ended."""
    cut_off_everywhere(ctx, lifecycles.sparse)


@scenario("M2", "M4", kills=("wrong-digest-ends-the-upload",), rows=(161, 173), profile="default")
def a_refused_upload_cut_off_anywhere_goes_on(ctx: Context) -> None:
    """An upload finished with a wrong digest, then the right one, and cut off at any driver call can be ended."""
    cut_off_everywhere(ctx, lifecycles.wrong_then_right)


@scenario("D1", "D3", "D4", kills=("cancel-forgets-startedat",), rows=(161, 171, 173), profile="default")
def a_cancelled_upload_cut_off_anywhere_goes_away(ctx: Context) -> None:
    """An upload that ends in a cancel, and is cut off at any driver call, keeps its promise or is gone."""
    cut_off_everywhere(ctx, lifecycles.cancelled)


def interrupt() -> None:
    """Raise what Ctrl-C raises.

    Raises:
        KeyboardInterrupt: always.
    """
    raise KeyboardInterrupt


@scenario("W6", "W8", "E4", kills=("an-interrupted-close-is-over",), rows=(174,))
def a_close_interrupted_at_any_call_is_repeated(ctx: Context) -> None:
    """A close interrupted by Ctrl-C, before or after any call, leaves the upload open, and the next one flushes it.

    A server that is told twice to stop closes its uploads twice, and the second time must not lose what they hold.
    """
    for size in (700, FRONT + 5000):
        for side in get_args(Side):
            for index in count():
                if not _closed_twice(ctx, bulk("closed", size, ctx.seed), Trap(side), index):
                    break


def _closed_twice(ctx: Context, data: bytes, trap: Trap, index: int) -> bool:
    """Interrupt a close at its call of this number, and close again; return whether it has so many calls."""
    upload = watched(ctx, trap).upload("a")
    upload.write(data)
    trap.set(number(index), interrupt)
    try:
        upload.close()
    except KeyboardInterrupt:
        assert not upload.closed, f"closed, though {trap.calls[-1].method} was interrupted"
        upload.close()
    assert upload.closed
    expect_stored(ctx, "a", upload.uuid, data)
    ctx.service().resume("a", upload.uuid, offset=len(data)).finish(digest(data)).close()
    expect_layer(ctx, "a", data)
    ctx.count("moments", trap.sprung)
    return trap.sprung

"""Uploads that others meet: a purge, another handle or a move of their own comes before any call of theirs."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, FencedError, OffsetMismatchError, UnknownUploadError, layout
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import WEEK, later
from layerstore_conformance.steps.expectations import expect_gone, expect_layer
from layerstore_conformance.steps.rivals import finish, turns
from layerstore_conformance.steps.watching import Trap, fail, number, of, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "verify"

LARGE = 2 << 20
"""Bytes, more than an upload gathers in memory."""


@scenario("F1", "F3", kills=("resume-believes-its-first-look",), rows=(120, 128))
def a_resume_at_an_offset_is_at_that_offset(ctx: Context) -> None:
    """If a handle writes before any call of a resume at an offset, the resume is refused, or the handle is fenced.

    A client that goes on at another offset than the stored bytes end leaves a hole in its layer.
    """
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"offset-{index}").read(3000)
        first = ctx.service().upload("a")
        first.write(data)
        first.flush()

        def act(first: LayerUpload = first) -> None:
            with suppress(FencedError):
                first.write(b"more")
                first.flush()

        trap.set(number(index), act)
        try:
            second = service.resume("a", first.uuid, offset=3000)
        except OffsetMismatchError:
            ctx.step("refused")
            continue
        assert second.tell() == second.size == 3000, f"resumed at {second.tell()} instead of 3000"
        finish(ctx.service().resume("a", first.uuid), data)
        expect_layer(ctx, "a", data)


def purge_that_fails(ctx: Context) -> None:
    """Purge everything, until something is to be deleted."""
    trap = Trap()
    service = watched(ctx, trap)
    trap.set(of("delete"), fail)
    service.purge(WEEK, now=later())


@scenario("F2", "M3", kills=("taken-data-is-a-missing-key",), rows=(120, 152))
def a_finish_that_meets_half_a_purge_is_told(ctx: Context) -> None:
    """If a purge is cut off before any call of a finish, the finish returns, or says that the upload was taken.

    A missing key says nothing to a client: it cannot know whether to send its bytes once more.
    """
    for verify in ("resume", "reread"):
        for index in itertools.count():
            data, trap = ctx.payload(f"{verify}-{index}").read(3000), Trap()
            upload = watched(ctx, trap, verify).upload("a")
            upload.write(data)
            upload.flush()
            trap.set(number(index), lambda: purge_that_fails(ctx))
            try:
                finish(upload, data)
            except (FencedError, UnknownUploadError):
                assert not ctx.service().exists("a", digest(data)), "refused, and yet a layer"
            else:
                expect_layer(ctx, "a", data)
            ctx.service().purge(WEEK, now=later())
            expect_gone(ctx, "a", upload.uuid)
            if not trap.sprung:
                break
            ctx.count("moments")


@scenario("F1", "F3", "D3", kills=("first-flush-leaves-its-start",), rows=(152,))
def a_first_flush_that_meets_a_purge_leaves_nothing(ctx: Context) -> None:
    """If all is purged before any call of a first flush, and the flush raises, no upload of no bytes is left."""
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"first-{index}").read(3000)
        upload = service.upload("a")
        upload.write(data)
        trap.set(number(index), lambda: ctx.service().purge(WEEK, now=later()))
        try:
            upload.flush()
        except (FencedError, UnknownUploadError):
            expect_gone(ctx, "a", upload.uuid)


@scenario("F1", "M2", "E4", kills=("fenced-by-itself-is-left-unknown",), rows=(161, 174))
def a_straight_finish_fenced_by_its_own_move_is_gone_on_with_by_others(ctx: Context) -> None:
    """If a move is cut off when it has fenced the upload's handle and done nothing else, another handle finishes it.

    Nobody else knew of the upload until then: its bytes would be lost.
    """
    data, trap = ctx.payload("fenced").read(LARGE), Trap()
    upload = watched(ctx, trap).upload("a")
    upload.write(data)

    def cut_off() -> None:
        ctx.open().open_writer(layout.UploadKeys("a", upload.uuid).data).discard()
        fail()

    trap.set(of("move"), cut_off)
    with refused(BackendUnavailableError):
        finish(upload, data)
    with refused(FencedError):
        finish(upload, data)
    assert ctx.service().status("a", upload.uuid).offset == LARGE
    finish(ctx.service().resume("a", upload.uuid, offset=LARGE), data)
    expect_layer(ctx, "a", data)
    expect_gone(ctx, "a", upload.uuid)

"""Cancelling: at every point, once or twice, and the upload stays away, whatever is closed later."""

from __future__ import annotations

import gc
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, LayerClosedError, UnknownUploadError, layout
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import BLOBS, begin, blob, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_stored
from layerstore_conformance.steps.watching import Trap, change, fail, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "cancel"

POINTS = ("begun", "written", "flushed", "closed", "resumed", "written after resuming")
"""Points in the lifecycle of an upload."""


def upload_at(ctx: Context, point: str) -> str:
    """Bring an upload of repository ``a`` to a point of its lifecycle, cancel it by its handle, and return its id."""
    data = ctx.payload("cancelled").read(9000)
    upload = ctx.service().upload("a")
    reached = POINTS.index(point)
    for step in (lambda: upload.write(data[:3000]), upload.flush, upload.close)[:reached]:
        step()
    if reached >= POINTS.index("resumed"):
        upload = ctx.service().resume("a", upload.uuid)
    if point == POINTS[-1]:
        upload.write(data[3000:])
    upload.cancel()
    return upload.uuid


@scenario("D1", "D3", kills=("cancel-keeps-the-data", "cancel-forgets-startedat"), rows=(148, 149))
def an_upload_cancelled_at_any_point_is_gone(ctx: Context) -> None:
    """An upload cancelled by its handle, at any point, is unknown afterwards, and no key of it is left."""
    for point in POINTS:
        ctx.step(point)
        expect_gone(ctx, "a", upload_at(ctx, point))
    assert ctx.stored() == [], "cancelled uploads left something"


@scenario("D1", "D3", kills=("cancel-keeps-the-data", "cancel-forgets-startedat"), rows=(148, 153))
def an_upload_cancelled_by_its_id_is_gone(ctx: Context) -> None:
    """An upload cancelled by its id, by a service that never had it open, is unknown, and no key of it is left."""
    for closed in (True, False):
        upload = ctx.service().upload("a")
        upload.write(ctx.payload("by-id").read(4000))
        upload.close() if closed else upload.flush()
        ctx.service().cancel("a", upload.uuid)
        expect_gone(ctx, "a", upload.uuid)


@scenario("D2", "T3", kills=("second-cancel-is-an-error", "cancel-of-nothing-is-accepted"), rows=(148,))
def cancelling_twice_is_cancelling_once(ctx: Context) -> None:
    """A cancelled handle can be cancelled again, and closed, without effect; its id is then unknown."""
    upload = ctx.service().upload("a")
    upload.write(ctx.payload("twice").read(3000))
    upload.cancel()
    upload.cancel()
    upload.close()
    upload.cancel()
    for _ in range(2):
        with refused(UnknownUploadError):
            ctx.service().cancel("a", upload.uuid)
    expect_gone(ctx, "a", upload.uuid)


@scenario("T3", kills=("cancelled-handle-stays-open",), rows=(148,))
def a_cancelled_handle_takes_nothing(ctx: Context) -> None:
    """A cancelled handle is closed: it takes no bytes, has no digest, and cannot be finished."""
    data = ctx.payload("closed").read(3000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.cancel()
    assert upload.closed
    for attempt in (lambda: upload.write(b"more"), upload.flush, upload.digest, lambda: upload.finish(digest(data))):
        with refused(LayerClosedError):
            attempt()
    expect_gone(ctx, "a", upload.uuid)
    assert ctx.stored() == [], "a cancelled upload came back"


@scenario("D1", kills=("cancel-takes-the-layer",), rows=(150,))
def cancelling_after_finishing_does_nothing(ctx: Context) -> None:
    """A cancel of a handle that was finished has no effect: the layer stays."""
    data = ctx.payload("finished").read(3000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.finish(digest(data)).close()
    upload.cancel()
    upload.close()
    upload.cancel()
    expect_layer(ctx, "a", data)


@scenario("D1", "M2", kills=("cancel-takes-the-layer",), rows=(150, 149))
def cancelling_keeps_the_layer_of_the_same_bytes(ctx: Context) -> None:
    """A cancel of an upload keeps the layer that has the same bytes already, and everything beside it."""
    data = ctx.payload("same").read(4000)
    store(ctx.service(), "a", data)
    before = ctx.stored()
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    assert str(upload.digest()) == digest(data)
    upload.cancel()
    assert ctx.stored() == before
    expect_layer(ctx, "a", data)


@scenario("D1", "L1", kills=("cancel-takes-the-neighbours",), rows=(111, 148))
def cancelling_keeps_the_neighbours(ctx: Context) -> None:
    """A cancel keeps every other upload, of its repository and of those with similar names."""
    data = ctx.payload("neighbours").read(2000)
    uuids = {name: begin(ctx.service(), name, data) for name in ("a", "a/b", "ab")}
    cancelled = begin(ctx.service(), "a", data)
    ctx.service().cancel("a", cancelled)
    expect_gone(ctx, "a", cancelled)
    for name, uuid in uuids.items():
        expect_stored(ctx, name, uuid, data)


@scenario("D3", "F2", "F3", kills=("gone-upload-is-merely-fenced",), rows=(148, 153))
def what_is_cancelled_stays_away(ctx: Context) -> None:
    """A handle of a cancelled upload that is flushed, closed or collected later brings nothing back.

    Each such call raises UnknownUploadError: the upload is gone, and was not taken over.
    """
    first = ctx.service().upload("a")
    first.write(ctx.payload("first").read(3000))
    first.flush()
    first.write(b"not flushed")
    second = ctx.service().resume("a", first.uuid)
    second.write(ctx.payload("second").read(3000))
    third = ctx.service().upload("a")
    third.flush()
    third.write(b"never flushed")
    for upload in (first, third):
        ctx.service().cancel("a", upload.uuid)
    for attempt in (second.flush, first.close, third.close):
        with refused(UnknownUploadError):
            attempt()
    del first, second, third, upload, attempt
    gc.collect()
    assert ctx.stored() == [], "a cancelled upload came back"


@scenario("D3", "F3", kills=("gone-upload-is-merely-fenced",), rows=(149, 153))
def a_cancelled_upload_is_not_finished(ctx: Context) -> None:
    """An upload that was cancelled elsewhere cannot be finished, and its bytes become no layer."""
    data = ctx.payload("never").read(3000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    ctx.service().cancel("a", upload.uuid)
    with refused(UnknownUploadError):
        upload.finish(digest(data))
    assert not ctx.service().exists("a", digest(data))
    assert ctx.stored() == [], f"left: {ctx.stored(BLOBS)}"


@scenario("D4", "E4", kills=("failed-cancel-counts",), rows=(171, 174))
def a_failed_cancel_is_repeated(ctx: Context) -> None:
    """A cancel that failed at any call, before or after it took effect, can be repeated, and removes all."""
    for side, index in itertools.product(("before", "after"), range(2)):
        trap = Trap("before" if side == "before" else "after")
        upload = watched(ctx, trap).upload("a")
        upload.write(ctx.payload("failed").read(3000))
        upload.flush()
        trap.set(change(index), fail)
        with refused(BackendUnavailableError):
            upload.cancel()
        with suppress(UnknownUploadError):  # gone from the first step on; the keys that are left are no upload
            ctx.service().resume("a", upload.uuid).close()
        upload.cancel()
        expect_gone(ctx, "a", upload.uuid)
    assert ctx.stored() == [], "failed cancels left something"


@scenario("M1", "D1", kills=("no-intent", "cancel-forgets-startedat"), rows=(148, 173))
def a_finish_that_was_cut_off_can_be_cancelled(ctx: Context) -> None:
    """An upload whose data has become a blob, but no layer, can be cancelled: it is gone, and no layer appears."""
    data = ctx.payload("cut").read(3000)
    trap = Trap("after")
    upload = watched(ctx, trap).upload("a")
    upload.write(data)
    upload.flush()
    trap.set(lambda _, call: call.method == "move", fail)
    with refused(BackendUnavailableError):
        upload.finish(digest(data))
    again = ctx.service().resume("a", upload.uuid, offset=3000)
    again.cancel()
    expect_gone(ctx, "a", upload.uuid)
    assert not ctx.service().exists("a", digest(data))
    assert ctx.stored() == [blob(data)], "the blob alone is left, which no repository has"


@scenario("D2", "S3", kills=("cancel-of-nothing-is-accepted",), rows=(130, 148))
def a_finished_upload_cannot_be_cancelled_by_its_id(ctx: Context) -> None:
    """The id of a finished upload is unknown to cancel, as to resume; its layer stays."""
    data = ctx.payload("over").read(2000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.finish(digest(data)).close()
    with refused(UnknownUploadError) as refusal:
        ctx.service().cancel("a", upload.uuid)
    assert (refusal.error.name, refusal.error.uuid) == ("a", upload.uuid)
    expect_layer(ctx, "a", data)
    assert ctx.stored(layout.uploads("a")) == []

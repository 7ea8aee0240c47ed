"""Uploads in every state that a finish, a purge or a cut-off leaves them in: begun, moved, linked, or in between."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from layerstore import (
    BackendUnavailableError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    UnknownLayerError,
    UnknownUploadError,
    layout,
)
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.layers import blob
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import LONG_AGO, WEEK, later
from layerstore_conformance.steps.expectations import expect_gone, expect_layer
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.rivals import finish, turns
from layerstore_conformance.steps.watching import fail, number

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "verify"

UUID = "01234567-89ab-cdef-0123-456789abcdef"
KEYS = layout.UploadKeys("a", UUID)


class State(NamedTuple):
    """What lies below an upload that exists."""

    data: bytes | None
    intents: tuple[bytes, ...]
    """The bytes that it may have become."""
    blobs: tuple[bytes, ...]
    """Those of them that are there."""
    purged: bool
    """Whether a purge has taken its data."""

    @property
    def accepted(self) -> tuple[bytes, ...]:
        """The bytes by whose digest it can be finished; none if the upload is unknown."""
        if self.data is not None:
            return (self.data,)
        if self.purged:
            return ()
        return self.blobs if self.intents else (b"",)

    def make(self, ctx: Context) -> None:
        """Make a store that holds this alone."""
        driver = ctx.open()
        driver.delete("docker")
        driver.put(KEYS.started_at, LONG_AGO)
        for each in self.intents:
            driver.put(f"{KEYS.intents}/{digest(each)[7:]}", digest(each).encode("ascii"))
        for each in self.blobs:
            driver.put(blob(each), each)
        if self.purged:
            driver.put(KEYS.purged, b"taken by a purge")
        if self.data is not None:
            driver.put(KEYS.data, self.data)


def sized(ctx: Context, *sizes: int) -> tuple[bytes, ...]:
    """Return bytes of these sizes, whose intents are listed in this order."""
    for index in itertools.count():  # pragma: no branch  (some are in order)
        found = tuple(ctx.payload(f"sized-{index}-{size}").read(size) for size in sizes)
        if sorted(found, key=digest) == list(found):
            return found
    raise AssertionError("not reached")


def states(ctx: Context) -> Iterator[State]:
    """Yield every state, of a small blob before a large one in the listing, and of a large one before a small one."""
    whole = ctx.payload("whole").read(400)
    for parts in (sized(ctx, 300, 500), sized(ctx, 500, 300)):
        for count in range(3):
            intents = parts[:count]
            for there in itertools.chain(*(itertools.combinations(intents, size) for size in range(count + 1))):
                for data, purged in itertools.product((whole, None), (False, True)):
                    yield State(data, intents, there, purged)
                    ctx.count("states")


def resumed(ctx: Context, state: State) -> LayerUpload:
    """Resume it, and check what it says of itself."""
    upload = ctx.service().resume("a", UUID)
    assert upload.tell() == max(map(len, state.accepted)), f"resumed at {upload.tell()}: {state}"
    assert upload.moved == (state.data is None and bool(state.blobs)), f"moved is {upload.moved}: {state}"
    return upload


@scenario(
    *("M1", "S1", "L1"),
    kills=("moved-tries-one-blob", "moved-size-is-not-compared", "moved-size-of-any-blob", "purged-is-found-moved"),
    rows=(129, 144, 162),
    profile="default",
)
def an_upload_in_any_state_is_finished_by_what_it_may_have_become(ctx: Context) -> None:
    """An upload is finished by the digest and size of its data, or of any blob that it may have become, and no other.

    If it is none of these, or a purge has taken its data, it is unknown.
    """
    for state in states(ctx):
        state.make(ctx)
        if not state.accepted:
            for ask in (ctx.service().status, ctx.service().resume):
                with refused(UnknownUploadError):
                    ask("a", UUID)
            continue
        assert ctx.service().status("a", UUID).offset == max(map(len, state.accepted)), f"the offset is wrong: {state}"
        for right in state.accepted:
            state.make(ctx)
            upload = resumed(ctx, state)
            for wrong in {b"wrong", *state.intents} - set(state.accepted):
                with refused(LayerInvalidDigestError):
                    upload.finish(digest(wrong))
            with refused(LayerInvalidSizeError):
                upload.finish(digest(right), len(right) + 1)
            assert list(ctx.service().layers()) == [], f"what was refused is a layer: {state}"
            finish(upload, right)
            expect_layer(ctx, "a", right)
            expect_gone(ctx, "a", UUID)


@scenario("D1", "S3", "L1", kills=("purge-removes-nothing",), rows=(149, 152), profile="default")
def an_upload_in_any_state_is_cancelled_and_purged(ctx: Context) -> None:
    """After a cancel or a purge of an upload nothing of it is left, whatever lay there; its blobs stay."""
    for state in states(ctx):
        for end in ("cancel", "cancel of a handle", "purge"):
            state.make(ctx)
            if end == "purge" or not state.accepted:
                assert [each.uuid for each in ctx.service().purge(WEEK, now=later()).removed] == [UUID]
            elif end == "cancel":
                ctx.service().cancel("a", UUID)
            else:
                resumed(ctx, state).cancel()
            assert ctx.stored() == sorted(map(blob, state.blobs)), f"after a {end}: {state}"
            expect_gone(ctx, "a", UUID)


@scenario(
    *("M1", "D3", "E4"),
    kills=("purge-makes-data-of-what-was-moved",),
    rows=(144, 152),
)
def a_purge_cut_off_anywhere_leaves_an_upload_or_nothing(ctx: Context) -> None:
    """A purge that fails at any call leaves the upload as it was, to be finished, or unknown to all; not in between.

    Of an upload whose finish was cut off, the bytes are a blob already. They must not be bytes of an upload again.
    """
    data, other = (ctx.payload(name).read(3000) for name in ("whole", "other"))
    for state in (
        State(data, (), (), purged=False),
        State(data, (other,), (other,), purged=False),
        State(None, (data,), (data,), purged=False),
    ):
        for index, trap, service in turns(ctx):
            state.make(ctx)
            trap.set(number(index), fail)
            with suppress(BackendUnavailableError):  # if it cannot list anything
                service.purge(WEEK, now=later())
            try:
                found = ctx.service().status("a", UUID).offset
            except UnknownUploadError:
                with refused(UnknownUploadError):
                    ctx.service().resume("a", UUID)
            else:
                assert found == len(data), f"cut off before call {index}, it has {found} bytes: {state}"
                finish(resumed(ctx, state), data)
                expect_layer(ctx, "a", data)
                ctx.service().unlink("a", digest(data))
            ctx.service().purge(WEEK, now=later())
            expect_gone(ctx, "a", UUID)


@scenario("D3", "F2", kills=("resume-looks-once",), rows=(120, 128))
def a_resume_that_meets_the_end_of_its_upload_is_refused_or_had_it(ctx: Context) -> None:
    """If an upload is cancelled before any call of a resume, that is told so, or has begun with all of its bytes.

    A client that is given an upload of no bytes sends the rest of a layer behind nothing.
    """
    data = ctx.payload("ended").read(3000)
    for index, trap, service in turns(ctx):
        state = State(data, (), (), purged=False)
        state.make(ctx)
        trap.set(number(index), lambda: ctx.service().cancel("a", UUID))
        try:
            upload = service.resume("a", UUID)
        except UnknownUploadError:
            ctx.step("refused")
        else:
            assert upload.tell() == len(data), f"resumed at {upload.tell()}, with a cancel before call {index}"
        ctx.service().purge(WEEK, now=later())
        expect_gone(ctx, "a", UUID)


STARTS = (
    "2001-09-09T01:46:40Z",
    "2001-09-09 01:46:40+00:00",
    "2001-09-09T03:46:40+02:00",
    "2001-09-08T18:16:40.000-07:30",
)
"""One moment, as RFC 3339 lets it be written."""


@scenario("S1", kills=("a-start-is-read-without-its-zone",), rows=(73,))
def a_start_in_any_zone_is_of_that_moment(ctx: Context) -> None:
    """However the start of an upload is written, with whatever offset from UTC, it is the moment that it says.

    Another registry may have begun the upload. A purge goes by its start.
    """
    began = datetime.fromtimestamp(10**9, UTC)
    for text in STARTS:
        State(b"begun elsewhere", (), (), purged=False).make(ctx)
        ctx.driver.put(KEYS.started_at, text.encode("ascii"))
        told = [ctx.service().status("a", UUID), *ctx.service().uploads("a")]
        assert [each.started_at for each in told] == [began, began], f"{text} is told as {told[0].started_at}"
        assert told[0].started_at.utcoffset() == timedelta(0), f"{text} is told as {told[0].started_at}"


@scenario("M1", "D3", kills=("moved-is-linked-though-cancelled",), rows=(144, 149))
def a_finish_gone_on_with_after_its_upload_has_ended_links_nothing(ctx: Context) -> None:
    """If an upload is cancelled, or finished elsewhere and unlinked, a finish that goes on with it is told so."""
    data = ctx.payload("ended").read(3000)
    for end in ("cancelled", "finished"):
        handle = ctx.service().resume("a", moved_only(ctx, data).uuid)
        if end == "cancelled":
            ctx.service().cancel("a", handle.uuid)
        else:
            finish(ctx.service().resume("a", handle.uuid), data)
            ctx.service().unlink("a", digest(data))
        with refused(UnknownUploadError):
            handle.finish(digest(data))
        assert not ctx.service().exists("a", digest(data)), f"{end}, and yet it is linked once more"
        expect_gone(ctx, "a", handle.uuid)


@scenario("F4", "M1", kills=("tarsum-is-pointed-elsewhere",), rows=(144,))
def a_finish_gone_on_with_points_no_tarsum_elsewhere(ctx: Context) -> None:
    """A finish by a tarsum that other bytes have got since is refused; by its digest it goes on."""
    first, second = archive("first", "second"), archive("second", "first")
    upload = moved_only(ctx, second)
    other = ctx.service().upload("a")
    other.write(first)
    other.finish(tarsum_of(first)).close()
    with refused(LayerExistsError):
        ctx.service().resume("a", upload.uuid).finish(tarsum_of(second))
    with refused(UnknownLayerError):
        ctx.service().fetch("a", digest(second))
    finish(ctx.service().resume("a", upload.uuid), second)
    expect_layer(ctx, "a", first)
    expect_layer(ctx, "a", second)

"""Straight uploads: no other handle knows of them, and they are stored in a few steps, whatever comes between these."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    FencedError,
    LayerClosedError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    LayerService,
    LayerUpload,
    UnknownUploadError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import BLOBS, begin, blob, link
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import together
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.forking import Forked
from layerstore_conformance.promises import theorem
from layerstore_conformance.steps.ages import WEEK, newest
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_stored
from layerstore_conformance.steps.rivals import turns
from layerstore_conformance.steps.watching import Trap, fail, number, watched

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side

GROUP = "upload"

SMALL = 3000
LARGE = FRONT + 5000
SIZES = (SMALL, LARGE)
"""Bytes: fewer than are gathered in front of the backend, and more."""

SIDES: tuple[Side, ...] = ("before", "after")


def far() -> datetime:
    """Return a moment at which every upload is old."""
    return datetime.now(UTC) + timedelta(days=2)


def collect(ctx: Context) -> None:
    """Collect every unused blob, however young."""
    ctx.service().collect(now=far())


def purge(ctx: Context) -> None:
    """Purge all uploads, however young."""
    ctx.service().purge(timedelta(0), now=far())


def scrub(ctx: Context) -> None:
    """Scrub, and move damaged blobs to quarantine."""
    damaged = [finding.key for finding in ctx.service().scrub(quarantine=True) if finding.kind == "damaged"]
    assert not damaged, f"said to be damaged: {damaged}"


def moments(ctx: Context, side: Side) -> Iterator[tuple[int, Trap, LayerService]]:
    """Yield a number, a trap to set at that call and a service with the trap, until a trap was not sprung."""
    if side == "before":
        yield from turns(ctx)
        return
    for index in range(1000):
        trap = Trap("after")
        yield index, trap, watched(ctx, trap)
        if not trap.sprung:
            return
        ctx.count("moments")


def written(service: LayerService, name: str, data: bytes) -> LayerUpload:
    """Write an upload whole, without a flush."""
    upload = service.upload(name)
    upload.write(data)
    return upload


def trapped(ctx: Context, label: str, action: Callable[[], object]) -> Iterator[tuple[LayerUpload, bytes, Trap]]:
    """Yield uploads of each size, whole and not flushed, with their bytes: at one call of each there is an action."""
    for size in SIZES:
        for side in SIDES:
            for index, trap, service in moments(ctx, side):
                data = ctx.payload(f"{label}-{size}-{side}-{index}").read(size)
                upload = written(service, "a", data)
                trap.set(number(index), action)
                yield upload, data, trap


@scenario("L1", "D1", kills=("upload-is-known-at-once",))
def an_upload_that_was_not_flushed_is_nobodys_business(ctx: Context) -> None:
    """An upload that was never flushed is not listed, cannot be resumed or cancelled by its id, and can be finished."""
    for size in SIZES:
        data = ctx.payload(f"own-{size}").read(size)
        upload = written(ctx.service(), f"a/{size}", data)
        assert list(ctx.service().uploads()) == [], "listed before its first flush"
        with refused(UnknownUploadError):
            ctx.service().resume(upload.name, upload.uuid)
        upload.finish(digest(data)).close()
        expect_layer(ctx, f"a/{size}", data)
        assert ctx.stored(layout.uploads(upload.name)) == [], "left where uploads lie"


@scenario("P1", "M1", kills=("linked-blob-is-not-looked-for", "lost-blob-is-no-matter"))
def a_collection_during_a_straight_upload_takes_no_layer(ctx: Context) -> None:
    """Whenever a collection without grace runs, a finish returns with its layer there, or raises an error.

    A collection takes unlinked blobs, and a finish without an intent has one for a moment.
    """
    for size, old, side in (
        (SMALL, False, "before"),
        (SMALL, True, "before"),
        (SMALL, False, "after"),
        (LARGE, True, "before"),
    ):
        for index, trap, service in moments(ctx, side):  # type: ignore[arg-type]  # one of the two sides
            name = f"{size}-{old}-{side}-{index}".lower()
            data = ctx.payload(name).read(size)
            if old:
                ctx.open().put(blob(data), data)
            trap.set(number(index), partial(collect, ctx))
            upload = written(service, name, data)
            try:
                upload.finish(digest(data)).close()
            except UnknownUploadError:
                assert size > FRONT, "its bytes were in hand, and it was given up"
                ctx.open().delete(link(name, digest(data)))  # it leads nowhere; an upload would mend it
            else:
                collect(ctx)
                expect_layer(ctx, name, data)
            ctx.driver.delete(layout.ROOT)  # else each collection goes through all layers of the moments before


@scenario("P1", "M1", kills=("small-blob-is-put-if-missing", "existing-blob-is-taken-for-good"))
def a_straight_upload_mends_a_damaged_blob(ctx: Context) -> None:
    """A finish does not trust the blob that is there already: a small layer and a large one replace it."""
    for size in SIZES:
        data = ctx.payload(f"mended-{size}").read(size)
        for damage in (b"", data[:-1], bytes(size), data + b"x"):
            ctx.open().put(blob(data), damage)
            written(ctx.service(), "a", data).finish(digest(data)).close()
            expect_layer(ctx, "a", data)


@scenario("P1", "M4", kills=("small-layer-is-linked-first",))
def a_scrub_or_purge_during_a_straight_upload_disturbs_none(ctx: Context) -> None:
    """A scrub before any call of a straight upload finds no damage and moves nothing away; a purge removes nothing."""
    for size, rival in ((SMALL, scrub), (SMALL, purge), (LARGE, scrub)):
        for index, trap, service in turns(ctx):
            data = ctx.payload(f"beside-{size}-{index}").read(size)

            def act(rival: Callable[[Context], None] = rival) -> None:
                rival(ctx)
                missing = [each.key for each in ctx.service().scrub() if each.harmful]
                assert not missing, f"harm, while a layer is stored: {missing}"

            trap.set(number(index), act)
            written(service, "a", data).finish(digest(data)).close()
            expect_layer(ctx, "a", data)
            ctx.driver.delete(layout.ROOT)


@scenario(
    *("F1", "F3", "D3"),
    kills=("first-flush-is-not-made-sure-of",),
)
def an_upload_purged_at_its_first_flush_is_known_or_gone(ctx: Context) -> None:
    """If all is purged before any call of a first flush, the flush is kept, or it raises and nothing is left."""
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"flushed-{index}").read(SMALL)
        upload = written(service, "a", data)
        trap.set(number(index), partial(purge, ctx))
        try:
            upload.flush()
        except (FencedError, UnknownUploadError):
            purge(ctx)
            expect_gone(ctx, "a", upload.uuid)
        else:
            expect_stored(ctx, "a", upload.uuid, data)
            ctx.service().resume("a", upload.uuid, offset=SMALL).finish(digest(data)).close()
            expect_layer(ctx, "a", data)


@scenario("F1", "F3", "D3", kills=("leftovers-are-purged-where-they-are",))
def an_upload_that_becomes_known_during_a_purge_is_known_or_gone(ctx: Context) -> None:
    """If an upload is first flushed before any call of a purge of its leftover, the purge lets it go.

    A finish that failed has published bytes that no other handle knows of, and a purge takes those for a leftover.
    """
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"becoming-{index}").read(LARGE)
        failing = Trap()
        upload = written(watched(ctx, failing), "a", data)
        failing.set(lambda _, call: call.method == "move", fail)
        with suppress(BackendUnavailableError):
            upload.finish(digest(data)).close()
        keys = layout.UploadKeys("a", upload.uuid)
        moment = ctx.open().stat(keys.data).modified
        stored: list[bytes] = []

        def flush(upload: LayerUpload = upload, data: bytes = data, stored: list[bytes] = stored) -> None:
            with suppress(FencedError, UnknownUploadError):
                upload.flush()
                stored.append(data)
                while newest(ctx, upload.uuid) <= moment:  # noqa: B023  (clocks of backends may be coarse)
                    upload.write(b"alive")
                    upload.flush()
                    stored.append(stored[-1] + b"alive")

        trap.set(number(index), flush)
        service.purge(WEEK, now=moment + WEEK)
        if stored and trap.sprung:
            expect_stored(ctx, "a", upload.uuid, stored[-1])
        upload.cancel()
        purge(ctx)
        expect_gone(ctx, "a", upload.uuid)


@scenario("P1", "E4", kills=("half-finished-is-finished", "finish-forgets-what-it-did"))
def a_straight_finish_that_failed_at_any_call_is_repeated(ctx: Context) -> None:
    """A finish that failed once, before or after any call, succeeds when the same handle repeats it."""
    for upload, data, _ in trapped(ctx, "again", fail):
        try:
            upload.finish(digest(data)).close()
        except BackendUnavailableError:
            upload.finish(digest(data)).close()
        expect_layer(ctx, "a", data)
        assert ctx.stored(layout.uploads("a")) == [], "left where uploads lie"


def interrupt() -> None:
    """Raise what Ctrl-C raises.

    Raises:
        KeyboardInterrupt: always.
    """
    raise KeyboardInterrupt


@scenario("P1", "E4", kills=("interrupted-finish-is-over", "interrupted-upload-is-not-removed"))
def a_straight_finish_interrupted_at_any_call_is_repeated_or_cancelled(ctx: Context) -> None:
    """A finish interrupted by Ctrl-C, before or after any call, is repeated by the same handle, or cancelled.

    A cancelled upload leaves nothing where uploads lie, and either the whole layer or none.
    """
    for repeat in (True, False):
        for upload, data, trap in trapped(ctx, f"interrupted-{repeat}", interrupt):
            try:
                upload.finish(digest(data)).close()
            except KeyboardInterrupt:
                _end(upload, data, repeat=repeat)
            if repeat or not trap.sprung or ctx.service().exists("a", digest(data)):
                expect_layer(ctx, "a", data)
            assert ctx.stored(layout.uploads("a")) == [], "left where uploads lie"
            assert [*ctx.open().scan(layout.uploads("a"))] == [], "left where uploads lie, unpublished"


def _end(upload: LayerUpload, data: bytes, *, repeat: bool) -> None:
    if repeat:
        upload.finish(digest(data)).close()
    else:
        upload.cancel()


@scenario("M1", "W6", kills=("begun-without-what-it-became",))
def a_straight_finish_that_failed_is_closed_and_resumed(ctx: Context) -> None:
    """A finish failed once at any call; after a close, another handle resumes the upload with all of its bytes.

    Its data may have become a blob already, and yet an upload that was closed in order is not lost.
    """
    for upload, data, _ in trapped(ctx, "closed", fail):
        with suppress(BackendUnavailableError):
            upload.finish(digest(data)).close()
        if not upload.closed:
            with suppress(FencedError):
                upload.close()
            ctx.service().resume("a", upload.uuid, offset=len(data)).finish(digest(data), len(data)).close()
        expect_layer(ctx, "a", data)


@scenario("P1", "T1", kills=("small-blob-is-put-if-missing",))
def two_that_finish_the_same_bytes_have_one_layer(ctx: Context) -> None:
    """Uploads of the same bytes, finished at once, all return with the layer there, also over a damaged blob."""
    for size in SIZES:
        data = ctx.payload(f"same-{size}").read(size)
        ctx.open().put(blob(data), b"damaged")
        uploads = [written(ctx.service(), f"a/{each}", data) for each in range(3)]
        together([partial(upload.finish, digest(data)) for upload in uploads])
        for upload in uploads:
            expect_layer(ctx, upload.name, data)


@scenario("R5", kills=("small-layers-are-not-reread", "reread-does-not-read"))
def a_small_layer_is_read_back_if_that_was_asked_for(ctx: Context) -> None:
    """With ``verify="reread"`` a small layer is read back from the backend before any of it is visible."""
    data = ctx.payload("reread").read(SMALL)
    trap = Trap()
    upload = written(watched(ctx, trap, "reread"), "a", data)
    seen: list[list[str]] = []
    trap.set(
        lambda _, call: call.method == "read_at" and call.key.endswith("/data"), lambda: seen.append(ctx.stored(BLOBS))
    )
    upload.finish(digest(data)).close()
    assert seen == [[]], "not read back before it was visible"
    expect_layer(ctx, "a", data)


@scenario(
    "W4",
    "W5",
    "W9",
    kills=("gathered-bytes-are-never-replaced", "gap-in-front-is-closed", "gathered-bytes-are-their-writers"),
)
def what_is_gathered_is_what_a_file_would_hold(ctx: Context) -> None:
    """Small layers that are rewound, overwritten and sparse have the bytes that a file would have.

    Their callers reuse each buffer at once.
    """
    one, two = ctx.payload("one").read(SMALL), ctx.payload("two").read(SMALL)
    for kind in (bytes, bytearray, lambda data: memoryview(bytearray(data))):
        for offset in (0, 1, SMALL - 1, SMALL, SMALL + 700, FRONT - SMALL, FRONT):
            buffer = kind(two)
            upload = written(ctx.service(), "a", one)
            upload.seek(offset)
            upload.write(buffer)
            if not isinstance(buffer, bytes):
                buffer[:] = bytes(len(buffer))
            wanted = bytearray(one.ljust(offset, b"\0"))
            wanted[offset : offset + SMALL] = two
            assert str(upload.digest()) == digest(bytes(wanted)), f"written over at {offset}"
            upload.finish(digest(bytes(wanted)), len(wanted)).close()
            expect_layer(ctx, "a", bytes(wanted))


@scenario("P1", "E4", kills=("wrong-digest-is-visible",))
def a_straight_upload_refused_leaves_nothing_and_goes_on(ctx: Context) -> None:
    """A finish by a wrong digest or size stores nothing of an upload that was not flushed; then the right ones work."""
    for size in SIZES:
        data = ctx.payload(f"refused-{size}").read(size)
        upload = written(ctx.service(), "a", data)
        sha512 = f"sha512:{hashlib.sha512(b'').hexdigest()}"
        for wanted, length, kind in (
            (digest(data + b"x"), size, LayerInvalidDigestError),
            (sha512, size, LayerInvalidDigestError),
            (digest(data), size + 1, LayerInvalidSizeError),
        ):
            with refused(kind):
                upload.finish(wanted, length)
            assert ctx.stored(BLOBS) == [], "visible, and refused"
        upload.finish(digest(data), size).close()
        expect_layer(ctx, "a", data)
        theorem.check_store(ctx.open())
        ctx.open().delete(layout.ROOT)


@scenario("T5", kills=("forked-child-has-what-was-gathered",), needs=("url", "fork"))
def what_a_parent_has_gathered_refuses_its_child(ctx: Context) -> None:
    """A forked child can neither finish, flush, close nor cancel its parent's gathered bytes; the parent goes on."""
    with Elsewhere(ctx) as there:
        there.run(_refuse_a_child)


def _refuse_a_child(driver: CheckedDriver) -> None:
    data = Payload("gathered").read(SMALL)
    upload = written(LayerService(driver), "a", data)

    def child(_parent: Connection) -> None:
        for ask in (partial(upload.finish, digest(data)), upload.flush, upload.digest, upload.cancel):
            with refused(LayerClosedError):
                ask()
        with suppress(LayerClosedError):
            upload.close()

    with Forked(child):
        pass
    assert list(keys_below(driver, layout.ROOT)) == [], "a child has stored its parent's gathered bytes"
    upload.write(b"and on")
    upload.finish(digest(data + b"and on")).close()
    assert list(LayerService(driver).uploads()) == []


@scenario("D1", "L1", kills=("leftovers-are-not-purged", "leftovers-are-no-finding"))
def what_is_left_of_an_upload_nobody_knew_is_told_and_purged(ctx: Context) -> None:
    """Data without a start time is no upload: a scrub reports it as a leftover, and a purge removes it."""
    uuid = begin(ctx.service(), "a", ctx.payload("left").read(SMALL))
    keys = layout.UploadKeys("a", uuid)
    ctx.open().delete(keys.started_at)
    assert list(ctx.service().uploads()) == []
    found = [finding.key for finding in ctx.service().scrub() if finding.kind == "leftover"]
    assert found == [f"{keys.prefix}/"], f"a scrub reports {found}"
    young = ctx.service().purge(timedelta(days=1))
    assert [each.uuid for each in young.kept] == [uuid], "younger than was asked for"
    purge(ctx)
    expect_gone(ctx, "a", uuid)

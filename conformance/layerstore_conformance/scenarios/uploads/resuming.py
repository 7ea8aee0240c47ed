"""Resumed uploads: they go on where they were left, in any process, after any number of failures."""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    FencedError,
    LayerService,
    LayerUpload,
    OffsetMismatchError,
    UnknownUploadError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_stored, finish_resumed
from layerstore_conformance.steps.watching import Trap, fail, of, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "resume"

UNKNOWN = "01234567-89ab-4cde-8f01-23456789abcd"
"""The id of no upload."""


@scenario("W1", "W6", "R1", kills=("resumed-at-zero", "close-does-not-flush", "saved-offset-off-by-one"), rows=(131,))
def a_closed_upload_is_resumed_where_it_was_left(ctx: Context) -> None:
    """A fresh service resumes a closed upload at its offset, and the layer is whole.

    Nodes of a cluster share only the backend, and the next request reaches another node.
    """
    data = ctx.payload("left").read(9000)
    uuid = begin(ctx.service(), "a", data[:4001])
    expect_stored(ctx, "a", uuid, data[:4001])
    upload = ctx.service().resume("a", uuid)
    assert (upload.uuid, upload.tell(), upload.size) == (uuid, 4001, 4001)
    upload.close()
    finish_resumed(ctx, uuid, data[:4001], data[4001:])


def leave_upload(driver: CheckedDriver, data: bytes) -> str:
    """Begin an upload in another process, and leave it closed, and a second handle on it open."""
    uuid = begin(LayerService(driver), "a", data)
    LayerService(driver).resume("a", uuid).write(b"of a process that has ended")
    return uuid


def finish_upload(driver: CheckedDriver, uuid: str, data: bytes, rest: bytes) -> tuple[str, bytes]:
    """Finish an upload in another process, and return its layer's digest and bytes."""
    upload = LayerService(driver).resume("a", uuid, offset=len(data))
    upload.write(rest)
    with upload.finish(digest(data + rest)) as layer:
        return str(layer.digest), layer.read()


@scenario("C3", "W6", kills=("every-process-has-its-own",), rows=(131, 5), needs=("shared", "url"))
def an_upload_left_by_another_process_is_resumed(ctx: Context) -> None:
    """An upload begun in a process that has ended is resumed in another one, at the offset where it was left."""
    data = ctx.payload("processes").read(7000)
    with Elsewhere(ctx) as there:
        uuid = there.run(leave_upload, data[:4000])
        there.kill()
    expect_stored(ctx, "a", uuid, data[:4000])
    finish_resumed(ctx, uuid, data[:4000], data[4000:])


@scenario("C3", "W6", "M1", kills=("every-process-has-its-own",), rows=(131, 5), needs=("shared", "url"))
def an_upload_begun_here_is_finished_by_another_process(ctx: Context) -> None:
    """An upload begun here is resumed and finished by a fresh process, and its layer is seen by both."""
    data = ctx.payload("processes").read(7000)
    uuid = begin(ctx.service(), "a", data[:4000])
    with Elsewhere(ctx) as there:
        assert there.run(finish_upload, uuid, data[:4000], data[4000:]) == (digest(data), data)
    expect_layer(ctx, "a", data)
    expect_gone(ctx, "a", uuid)


@scenario("W6", kills=("started-anew-when-resumed",), rows=(129,))
def an_upload_keeps_the_time_it_was_begun(ctx: Context) -> None:
    """A resumed upload keeps its start time, which clean-up relies on."""
    upload = ctx.service().upload("a")
    upload.close()
    assert ctx.service().resume("a", upload.uuid).started_at == upload.started_at
    assert [info.started_at for info in ctx.service().uploads("a")] == [upload.started_at]


@scenario("W1", "W6", "M1", kills=("resumed-at-zero",), rows=(131, 173))
def an_upload_resumed_at_every_border_is_whole(ctx: Context) -> None:
    """An upload closed and resumed after every chunk, of sizes that fit no block, becomes the right layer."""
    sizes = (1, 511, 512, 513, 0, 4096, 65_536, 65_537, 300_000)
    data = ctx.payload("borders").read(sum(sizes))
    at = 0
    uuid = begin(ctx.service(), "a", b"")
    for size in sizes:
        with ctx.service().resume("a", uuid, offset=at) as upload:
            upload.write(data[at : at + size])
        at += size
        expect_stored(ctx, "a", uuid, data[:at])
    finish_resumed(ctx, uuid, data, b"")


@scenario("W1", "W6", "M1", kills=("resumed-at-zero",), rows=(159,), profile="default")
def an_upload_resumed_after_every_byte_is_whole(ctx: Context) -> None:
    """An upload closed and resumed after every byte, across a hash block, becomes the right layer."""
    data = ctx.payload("bytes").read(68)
    service = ctx.service()
    first = 58  # bytes: a block of the hash is 64
    uuid = begin(service, "a", data[:first])
    for at in range(first, len(data) - 1):
        with service.resume("a", uuid, offset=at) as upload:
            upload.write(data[at : at + 1])
    finish_resumed(ctx, uuid, data[:-1], data[-1:])


@scenario("S3", "R3", kills=("unknown-upload-is-begun",), rows=(130,))
def an_unknown_upload_is_not_resumed(ctx: Context) -> None:
    """An upload that never existed, or is another repository's, is unknown; a resume of it creates nothing."""
    uuid = begin(ctx.service(), "a", b"of another repository")
    before = ctx.stored()
    for name, each in (("a", UNKNOWN), ("b", uuid), ("a/b", uuid)):
        for ask in (ctx.service().resume, ctx.service().cancel):
            with refused(UnknownUploadError) as refusal:
                ask(name, each)
            assert (refusal.error.name, refusal.error.uuid) == (name, each)
    assert ctx.stored() == before, "asking for an unknown upload left something"


@scenario("S1", "W1", kills=("offset-is-not-compared", "mismatch-without-the-offset"), rows=(132, 133))
def a_wrong_offset_is_told_the_right_one(ctx: Context) -> None:
    """A resume at a wrong offset raises an error that has the right one, and the upload can still go on.

    A client that lost an answer expects another offset: it must learn the right one, not write in the wrong place.
    """
    data = ctx.payload("offset").read(6000)
    uuid = begin(ctx.service(), "a", data[:2500])
    for wrong in (0, 2499, 2501, 1 << 40):
        with refused(OffsetMismatchError) as refusal:
            ctx.service().resume("a", uuid, offset=wrong)
        assert (refusal.error.expected, refusal.error.actual) == (wrong, 2500)
    expect_stored(ctx, "a", uuid, data[:2500])
    finish_resumed(ctx, uuid, data[:2500], data[2500:])


@scenario("F1", "S1", kills=("resume-fences-before-it-checks",), rows=(132, 120))
def a_refused_resume_fences_nobody(ctx: Context) -> None:
    """A resume that is refused for its offset fences no handle: the earlier handle finishes the upload.

    A client with a wrong offset must not take the upload from a client that is writing to it.
    """
    data = ctx.payload("offset").read(6000)
    earlier = ctx.service().upload("a")
    earlier.write(data[:2500])
    earlier.flush()
    earlier.write(data[2500:4000])
    for wrong in (0, 2499, 4000, 1 << 40):
        with refused(OffsetMismatchError) as refusal:
            ctx.service().resume("a", earlier.uuid, offset=wrong)
        assert refusal.error.actual == 2500, f"said to be at {refusal.error.actual}"
    earlier.flush()
    expect_stored(ctx, "a", earlier.uuid, data[:4000])
    with refused(OffsetMismatchError):
        ctx.service().resume("a", earlier.uuid, offset=2500)
    earlier.write(data[4000:])
    earlier.finish(digest(data), len(data)).close()
    expect_layer(ctx, "a", data)


@scenario("W6", "W7", "D3", kills=("dropped-upload-is-flushed",), rows=(161, 164))
def a_dropped_upload_is_as_last_flushed(ctx: Context) -> None:
    """An upload dropped without a close has the bytes of its last flush, and none after that.

    Otherwise half of a request's bytes would appear after the client had learnt that they were lost.
    """
    data = ctx.payload("dropped").read(8000)
    upload = ctx.service().upload("a")
    upload.write(data[:3000])
    upload.flush()
    upload.write(data[3000:6000])
    uuid = upload.uuid
    del upload
    gc.collect()
    expect_stored(ctx, "a", uuid, data[:3000])
    finish_resumed(ctx, uuid, data[:3000], data[3000:])


@scenario("F1", "F3", kills=("fenced-flush-is-silent",), rows=(120,))
def a_resumed_upload_fences_its_earlier_handle(ctx: Context) -> None:
    """An upload can be resumed while a handle is open on it; that handle then raises FencedError.

    The node still holds the half-open connection of a client that has come back through another one.
    """
    data = ctx.payload("later").read(5000)
    for name, more in (("idle", b""), ("writing", b"of the earlier handle")):
        earlier = ctx.service().upload(name)
        earlier.write(data[:2000])
        earlier.flush()
        earlier.write(more)
        later = ctx.service().resume(name, earlier.uuid, offset=2000)
        later.write(data[2000:])
        later.flush()
        for refuse in (earlier.flush, partial(_ask_anew, earlier), earlier.close):
            with refused(FencedError):
                refuse()
        expect_stored(ctx, name, later.uuid, data)
        later.finish(digest(data)).close()
        expect_layer(ctx, name, data)


def _ask_anew(upload: LayerUpload) -> None:
    """Ask for the digest of bytes that have to be read back."""
    upload.seek(0)
    upload.write(b"over what is stored")
    upload.digest()


@scenario("F3", "W1", kills=("fenced-handle-takes-over-again",), rows=(131,))
def an_offset_never_goes_back(ctx: Context) -> None:
    """However handles are opened, closed and dropped on one upload, its offset never becomes smaller."""
    data = ctx.payload("onward").read(8 * 500)
    uuid = begin(ctx.service(), "a", b"")
    handles = []
    for at in range(0, len(data), 500):
        handles.append(ctx.service().resume("a", uuid, offset=at))
        handles[-1].write(data[at : at + 500])
        handles[-1].flush()
        with suppress(FencedError):
            handles[ctx.random.randrange(len(handles))].close()
        expect_stored(ctx, "a", uuid, data[: at + 500])
    for each in handles:
        with suppress(FencedError):
            each.close()
    expect_stored(ctx, "a", uuid, data)


@scenario("W5", "S2", kills=("cursor-not-cut-on-rewrite",), rows=(58,))
def a_rewound_upload_has_the_later_bytes(ctx: Context) -> None:
    """An upload that goes back and writes other bytes, in the same handle or a resumed one, has the later bytes."""
    first, again = ctx.payload("first").read(6000), ctx.payload("again").read(6000)
    upload = ctx.service().upload("a")
    upload.write(first)
    upload.seek(2000)
    upload.write(again[2000:5000])
    data = first[:2000] + again[2000:5000] + first[5000:]
    assert str(upload.digest()) == digest(data)
    upload.close()
    upload = ctx.service().resume("a", upload.uuid)
    upload.seek(0)
    upload.write(again[:1000])
    upload.close()
    finish_resumed(ctx, upload.uuid, again[:1000] + data[1000:], b"")


@scenario("W5", "W6", "S2", kills=("cursor-not-cut-on-rewrite",), rows=(58,))
def a_middle_written_again_is_stored_and_hashed_anew(ctx: Context) -> None:
    """Other bytes in the middle of a resumed upload, across two chunks, are stored and hashed."""
    data, other = ctx.payload("middle").read(9000), ctx.payload("other").read(9000)
    uuid = begin(ctx.service(), "a", data[:3000])
    with ctx.service().resume("a", uuid) as upload:
        upload.write(data[3000:6000])
    upload = ctx.service().resume("a", uuid)
    upload.seek(2500)
    upload.write(other[2500:3500])
    upload.seek(0, 2)
    upload.write(data[6000:])
    whole = data[:2500] + other[2500:3500] + data[3500:]
    upload.finish(digest(whole), len(whole)).close()
    expect_layer(ctx, "a", whole)


@scenario("W4", kills=("gap-is-not-hashed",), rows=(64,))
def a_gap_reads_as_zeros(ctx: Context) -> None:
    """A gap between the end and a write beyond it is zeros, and has the written bytes if it is filled later."""
    data = ctx.payload("sparse").read(9000)
    upload = ctx.service().upload("a")
    upload.write(data[:1000])
    upload.seek(5000)
    upload.write(data[5000:])
    sparse = data[:1000] + bytes(4000) + data[5000:]
    assert str(upload.digest()) == digest(sparse)
    upload.flush()
    expect_stored(ctx, "a", upload.uuid, sparse)
    upload.close()
    upload = ctx.service().resume("a", upload.uuid)
    upload.seek(1000)
    upload.write(data[1000:4000])
    filled = data[:4000] + bytes(1000) + data[5000:]
    upload.finish(digest(filled)).close()
    expect_layer(ctx, "a", filled)


@scenario("W2", "E4", kills=("refused-bytes-are-hashed",), rows=(161, 174))
def a_refused_write_changes_nothing(ctx: Context) -> None:
    """After a refused write an upload is as it was before, and can be finished with the bytes that it accepted."""
    data = ctx.payload("refused").read(3000 + FRONT)
    trap = Trap()
    upload = watched(ctx, trap).upload("a")
    upload.write(data[:3000])
    for _ in range(2):  # gathered bytes, hashed after they are stored; and a block, hashed meanwhile
        trap.set(of("write_at"), fail)
        with refused(BackendUnavailableError):
            upload.write(data[3000:])
        assert (upload.size, upload.tell()) == (3000, 3000)
        upload.flush()
    assert str(upload.digest()) == digest(data[:3000])
    upload.write(data[3000:])
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)


@scenario("W8", "E4", kills=("failed-close-is-forgotten",), rows=(174,))
def a_failed_flush_may_be_repeated(ctx: Context) -> None:
    """A flush that fails raises an error, and a second one stores every byte."""
    data = ctx.payload("flush").read(6000)
    trap = Trap()
    upload = watched(ctx, trap).upload("a")
    upload.write(data[:2000])
    for _ in range(2):
        trap.set(of("publish"), fail)
        with refused(BackendUnavailableError):
            upload.flush()
        assert ctx.open().find(layout.UploadKeys("a", upload.uuid).data) is None, "a failed flush stored something"
    upload.write(data[2000:])
    upload.close()
    expect_stored(ctx, "a", upload.uuid, data)
    finish_resumed(ctx, upload.uuid, data, b"")

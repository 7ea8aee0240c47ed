"""What a front needs that keeps no handle between two requests: uploads that are only begun, pages, descriptors."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, UnknownUploadError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_gone, expect_layer
from layerstore_conformance.steps.watching import Tally, Trap, fail, of, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upload"


@scenario(
    "P1",
    "P2",
    "L1",
    kills=("begun-upload-is-forgotten", "begun-upload-opens-a-writer", "begun-is-told-otherwise"),
    rows=(131,),
)
def an_upload_that_is_begun_is_gone_on_with_anywhere(ctx: Context) -> None:
    """An upload that one request begins, by one put, is listed at offset 0, and another one finishes it.

    A registry answers a POST by the id of an upload, and the bytes come later, to any node.
    """
    tally, data = Tally.zero(), ctx.payload("begun").read(5000)
    begun = watched(ctx, tally).begin("a")
    assert tally.calls == {"put": 1}, f"beginning took {tally.calls}"
    told = ctx.service().status("a", begun.uuid)
    assert (begun.name, begun.offset, told.offset) == ("a", 0, 0), f"begun is {begun}, and the status tells {told}"
    assert begun.started_at == begun.modified == told.started_at, f"begun is {begun}, and the status tells {told}"
    assert [(info.uuid, info.offset) for info in ctx.service().uploads("a")] == [(begun.uuid, 0)]
    upload = ctx.service().resume("a", begun.uuid, offset=0)
    upload.write(data)
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)
    expect_gone(ctx, "a", begun.uuid)


@scenario("D1", "S3", kills=("cancel-keeps-what-was-only-begun", "purge-keeps-what-was-only-begun"), rows=(120,))
def an_upload_that_was_only_begun_is_cancelled_and_purged(ctx: Context) -> None:
    """An upload without bytes is removed as any other one is, and is unknown then."""
    service = ctx.service()
    cancelled, purged = service.begin("a").uuid, service.begin("a").uuid
    service.cancel("a", cancelled)
    expect_gone(ctx, "a", cancelled)
    assert [each.uuid for each in service.purge(timedelta(0)).removed] == [purged]
    expect_gone(ctx, "a", purged)
    with refused(UnknownUploadError):
        ctx.service().status("a", purged)


@scenario("M1", "M3", kills=("moved-is-never-said", "moved-before-the-move"), rows=(152,))
def an_upload_says_whether_its_data_has_become_a_blob(ctx: Context) -> None:
    """A resumed upload says so if a finish was cut off behind its move, and only then; it can be finished once more.

    A front has to know that it must not append to it.
    """
    for part, moved in (("/blobs/", False), ("/link", True)):
        data, trap = ctx.payload(f"moved-{moved}").read(5000), Trap()
        uuid = begin(ctx.service(), "a", data)
        upload = watched(ctx, trap).resume("a", uuid)
        trap.set(of("put", part) if moved else of("move"), fail)
        with refused(BackendUnavailableError):
            upload.finish(digest(data))
        again = ctx.service().resume("a", uuid)
        assert again.moved == moved, f"moved is {again.moved}"
        again.finish(digest(data)).close()
        expect_layer(ctx, "a", data)


@scenario("L1", "L2", kills=("page-begins-with-the-last", "page-leaves-out-what-lies-below"), rows=(80,))
def repositories_are_listed_page_by_page(ctx: Context) -> None:
    """A listing after any name goes on with the next one, whether that name is there or not."""
    names = ["a", "a/b", "a/b/c", "a-b", "ab", "b/c", "b.c"]
    for name in names:
        store(ctx.service(), name, ctx.payload("listed").read(300))
    whole = list(ctx.service().repositories())
    assert whole == sorted(names, key=lambda name: name.split("/")), whole
    for index, name in enumerate(whole):
        assert list(ctx.service().repositories(after=name)) == whole[index + 1 :], f"after {name}"
    assert list(ctx.service().repositories(after="a/b/b")) == whole[2:]
    assert list(ctx.service().repositories(after="a/b/c/d")) == whole[3:]
    assert list(ctx.service().repositories(after="c")) == []


@scenario("R1", "R4", kills=("descriptor-of-another-file", "descriptor-behind-a-header"))
def a_layer_with_a_descriptor_has_its_bytes_there(ctx: Context) -> None:
    """A layer that has a descriptor can be sent from there, from its first byte on, also when it was replaced since.

    A driver that has no file says so, as every file object does.
    """
    data = ctx.payload("sent").read(70_000)
    store(ctx.service(), "a", data)
    with ctx.service().fetch("a", digest(data)) as layer:
        layer.read(1000)
        try:
            descriptor = layer.fileno()
        except io.UnsupportedOperation:
            return
        store(ctx.service(), "b", data)
        ctx.same(os.pread(descriptor, len(data) + 1, 0), data, "what the descriptor has")
        ctx.same(layer.read(), data[1000:], "what the layer has after it")

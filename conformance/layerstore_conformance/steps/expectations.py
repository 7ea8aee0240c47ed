"""Check what is stored, through fresh services and under raw keys: layers, and uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import UnknownUploadError, layout
from layerstore_conformance.kit.layers import BLOBS, blob
from layerstore_conformance.kit.payloads import digest, expect_same

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context


def fetched(ctx: Context, name: str, wanted: str) -> bytes:
    """Read a layer whole, through a fresh service."""
    with ctx.service().fetch(name, wanted) as layer:
        return layer.read()


def expect_layer(ctx: Context, name: str, data: bytes) -> None:
    """Check by a fresh service, and under its raw key, that a repository has a layer of exactly these bytes."""
    assert ctx.service().exists(name, digest(data)), f"repository {name} does not have layer {digest(data)}"
    expect_same(fetched(ctx, name, digest(data)), data, f"layer of {name}")
    ctx.expect(blob(data), data)


def expect_no_layer(ctx: Context, name: str, *digests: str) -> None:
    """Check that a repository has no such layer, and that no blob at all is visible."""
    for wanted in digests:
        assert not ctx.service().exists(name, wanted), f"repository {name} has layer {wanted}"
    assert (found := ctx.stored(BLOBS)) == [], f"blobs where none was finished: {found}"
    assert (left := list(ctx.service().layers())) == [], f"layers where none was finished: {left}"


def expect_stored(ctx: Context, name: str, uuid: str, data: bytes) -> None:
    """Check through fresh handles that an upload holds exactly these bytes, and is listed with their number."""
    ctx.expect(layout.UploadKeys(name, uuid).data, data)
    listed = {info.uuid: info.offset for info in ctx.service().uploads(name)}
    assert listed.get(uuid) == len(data), f"listed at offset {listed.get(uuid)}, {len(data)} bytes are stored"


def expect_gone(ctx: Context, name: str, uuid: str) -> None:
    """Check through fresh handles that nothing of an upload is left, and that it is unknown."""
    left = ctx.stored(layout.UploadKeys(name, uuid).prefix)
    assert not left, f"left of the upload: {left}"
    assert uuid not in [info.uuid for info in ctx.service().uploads(name)], "the upload is still listed"
    try:
        ctx.service().resume(name, uuid)
    except UnknownUploadError:
        return
    raise AssertionError("an upload that is gone was resumed")


def finish_resumed(ctx: Context, uuid: str, data: bytes, rest: bytes) -> None:
    """Resume an upload of the repository ``a`` that holds ``data``, write the rest, finish, and check the layer."""
    upload = ctx.service().resume("a", uuid, offset=len(data))
    upload.write(rest)
    upload.finish(digest(data + rest), len(data + rest)).close()
    expect_layer(ctx, "a", data + rest)
    expect_gone(ctx, "a", uuid)

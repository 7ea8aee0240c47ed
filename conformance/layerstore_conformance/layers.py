"""Layers as scenarios handle them: stored straight, and looked at through fresh services and under their raw keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import Digest, LayerUploadUnknownError, layout
from layerstore_conformance.payloads import digest, expect_same

if TYPE_CHECKING:
    from layerstore import LayerService
    from layerstore_conformance.context import Context

BLOBS = f"{layout.ROOT}/blobs"
"""The prefix of all that has become a layer."""


def store(service: LayerService, name: str, data: bytes) -> str:
    """Upload a layer straight, and return its digest."""
    upload = service.upload(name)
    upload.write(data)
    upload.finish(digest(data), len(data)).close()
    return digest(data)


def begin(service: LayerService, name: str, data: bytes) -> str:
    """Begin an upload, write, close it, and return its id."""
    with service.upload(name) as upload:
        upload.write(data)
    return upload.uuid


def blob(data: bytes) -> str:
    """Return the key that a layer of these bytes lies under."""
    return layout.blob(Digest.parse(digest(data)))


def link(name: str, wanted: str) -> str:
    """Return the key by which a repository has a layer."""
    return layout.link(name, Digest.parse(wanted))


def fetched(ctx: Context, name: str, wanted: str) -> bytes:
    """Read a layer whole, through a fresh service."""
    with ctx.service().fetch(name, wanted) as layer:
        return layer.read()


def expect_layer(ctx: Context, name: str, data: bytes) -> None:
    """Check through a fresh service, and under its raw key, that a repository has a layer of exactly these bytes."""
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
    except LayerUploadUnknownError:
        return
    raise AssertionError("an upload that is gone was resumed")

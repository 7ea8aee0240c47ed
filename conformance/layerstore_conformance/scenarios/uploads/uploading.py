"""Uploads that become layers: every shape of chunk, every route, and when what is visible."""

from __future__ import annotations

import io
from datetime import UTC
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from layerstore import LayerClosedError
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import BLOBS, blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.together import together
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_no_layer, expect_stored

if TYPE_CHECKING:
    from layerstore import LayerService
    from layerstore_conformance.engine.context import Context

GROUP = "upload"

BLOCK = 1 << 20
"""Bytes that the core copies, hashes and writes at a time; many backends have a border there, too."""

EDGES = (0, 1, 511, 512, 513, 0, 4095, 65_535, 65_536, 65_537, 262_143, 262_145, BLOCK - 1, BLOCK, BLOCK + 1)
"""Sizes of chunks around every border below."""


@scenario("W3", "W6", "M1", "P1", kills=("finished-without-a-link", "moves-and-reports-a-failure"), rows=(141,))
def a_layer_uploaded_straight_is_there(ctx: Context) -> None:
    """A layer uploaded in three chunks and finished is there, byte for byte, whether it is small or large."""
    for size in (10_000, FRONT + 10_000):
        data = ctx.payload("straight").read(size)
        upload = ctx.service().upload("library/straight")
        for at in (0, 3000, 6000):
            upload.write(data[at : at + 3000 if at < 6000 else None])
        upload.finish(digest(data), len(data)).close()
        expect_layer(ctx, "library/straight", data)


@scenario("T3", kills=("closed-upload-cannot-be-printed",), rows=(6,))
def an_upload_and_its_layer_can_be_printed_in_every_state(ctx: Context) -> None:
    """The ``repr`` of an upload and of a layer names it in every state: open, finished and closed."""
    data = ctx.payload("printed").read(2000)
    upload = ctx.service().upload("a")
    upload.write(data)
    printed = [repr(upload)]
    layer = upload.finish(digest(data))
    printed.append(repr(upload))
    assert all(upload.uuid in text and "2000" in text for text in printed), printed
    printed = [repr(layer)]
    layer.close()
    printed.append(repr(layer))
    assert all(digest(data) in text for text in printed), printed


@scenario("W1", kills=("upload-ids-repeated",), rows=(128,))
def an_upload_begins_empty_with_an_id_of_its_own(ctx: Context) -> None:
    """Every upload begins at offset 0, under an id that no other upload has.

    Two clients with one id would write into each other's layer.
    """
    service = ctx.service()
    uploads = [service.upload("a") for _ in range(3)]
    assert [(upload.tell(), upload.size) for upload in uploads] == [(0, 0)] * 3
    assert len({upload.uuid for upload in uploads}) == 3, "an id was given twice"
    for upload in uploads:
        upload.flush()
    listed = {info.uuid: info.offset for info in ctx.service().uploads("a")}
    assert listed == {upload.uuid: 0 for upload in uploads}


@scenario("W2", "W3", "W6", kills=("one-byte-writes-lost",), rows=(58,))
def chunks_of_every_shape_make_the_same_layer(ctx: Context) -> None:
    """Chunks of no byte, one byte, and a block's size and one more or less join into the right layer.

    At the border between blocks an upload may lose a byte, or store one twice.
    """
    data = ctx.payload("shapes").read(sum(EDGES))
    upload = ctx.service().upload("shapes")
    at = 0
    for size in EDGES:
        assert upload.write(data[at : at + size]) == size
        at += size
        assert (upload.size, upload.tell()) == (at, at), "the size does not follow the writes"
    upload.finish(digest(data)).close()
    expect_layer(ctx, "shapes", data)


@scenario("W3", "W6", kills=("cursor-counts-a-chunk-twice",), rows=(58, 157))
def the_digest_does_not_depend_on_the_chunks(ctx: Context) -> None:
    """However the same bytes are cut into chunks, and wherever they are flushed, their digest is the same."""
    data = ctx.payload("partitions").read(20_000)
    for _ in range(4):
        cuts = sorted({0, len(data), *(ctx.random.randrange(len(data)) for _ in range(6))})
        ctx.step(f"cut at {cuts[1:-1]}")
        upload = ctx.service().upload("partitions")
        for start, end in pairwise(cuts):
            upload.write(data[start:end])
            if ctx.random.random() < 0.5:
                upload.flush()
        assert str(upload.digest()) == digest(data)
        upload.flush()
        expect_stored(ctx, "partitions", upload.uuid, data)
        upload.cancel()


@scenario("W2", "W6", "R5", kills=("loses-bytes-past-eight-mebibytes",), rows=(58,), profile="default")
def a_layer_of_many_blocks_is_whole(ctx: Context) -> None:
    """A layer larger than eight blocks of a MiB, in chunks that fit no block, is whole.

    A small layer never reaches the second of a backend's parts, pages or buffers.
    """
    data = ctx.payload("blocks").read(ctx.size(9 << 20))
    upload = ctx.service().upload("blocks")
    for at in range(0, len(data), 1_300_001):
        upload.write(data[at : at + 1_300_001])
    upload.finish(digest(data), len(data)).close()
    expect_layer(ctx, "blocks", data)


@scenario("W6", kills=("short-blocks-of-a-stream-lost",), rows=(60, 140))
def a_stream_is_stored_to_its_last_byte(ctx: Context) -> None:
    """A layer read from a stream is whole, with a short last block, and from a stream that has only ``read``."""

    class OnlyRead:
        def __init__(self, data: bytes) -> None:
            self.read = io.BytesIO(data).read

    data = ctx.payload("stream").read(2 * BLOCK + 17)
    for name, stream in (("readinto", io.BytesIO(data)), ("read", OnlyRead(data))):
        upload = ctx.service().upload(name)
        assert upload.read_from(stream) == len(data)
        upload.finish(digest(data)).close()
        expect_layer(ctx, name, data)


@scenario("W6", kills=("failed-stream-is-forgotten",), rows=(166, 164))
def a_stream_that_breaks_leaves_what_it_gave(ctx: Context) -> None:
    """If a stream breaks, the bytes before are stored, the caller gets its error, and the upload can go on.

    A client's connection breaks in the middle of a layer; the client comes back and sends the rest.
    """

    class Breaking(io.BytesIO):
        def readinto(self, buffer: object) -> int:
            if self.tell() == len(data) - 5000:
                raise ConnectionResetError("the client is gone")
            view = memoryview(buffer)  # type: ignore[arg-type]  # BytesIO's own signature has no name for it
            return super().readinto(view[: len(data) - 5000 - self.tell()])

    data = ctx.payload("breaks").read(BLOCK + 9000)
    upload = ctx.service().upload("breaks")
    with refused(ConnectionResetError), upload:
        upload.read_from(Breaking(data))
    expect_stored(ctx, "breaks", upload.uuid, data[:-5000])
    upload = ctx.service().resume("breaks", upload.uuid, offset=len(data) - 5000)
    upload.read_from(io.BytesIO(data[-5000:]))
    upload.finish(digest(data)).close()
    expect_layer(ctx, "breaks", data)


@scenario("W6", "L5", kills=("uploads-visible-as-layers",), rows=(145, 129))
def an_upload_is_no_layer_before_it_is_finished(ctx: Context) -> None:
    """Before its finish an upload is listed as an upload, at its offset, and nowhere as a layer."""
    data = ctx.payload("invisible").read(7000)
    upload = ctx.service().upload("a")
    upload.write(data)
    expect_no_layer(ctx, "a", digest(data))
    upload.flush()
    expect_no_layer(ctx, "a", digest(data), digest(b""))
    expect_stored(ctx, "a", upload.uuid, data)
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)


@scenario("M1", "D1", kills=("finish-removes-nothing", "cancel-forgets-startedat"), rows=(147, 163))
def a_finished_upload_leaves_a_blob_and_a_link(ctx: Context) -> None:
    """A finished upload leaves two keys, where a registry looks for them: the blob, and a link to it."""
    data = ctx.payload("layout").read(5000)
    upload = ctx.service().upload("some/repository")
    upload.write(data)
    upload.flush()
    upload.finish(digest(data)).close()
    hexdigits = digest(data).removeprefix("sha256:")
    assert ctx.stored() == [
        f"docker/registry/v2/blobs/sha256/{hexdigits[:2]}/{hexdigits}/data",
        f"docker/registry/v2/repositories/some/repository/_layers/sha256/{hexdigits}/link",
    ]
    ctx.expect(link("some/repository", digest(data)), digest(data).encode())


@scenario("D1", "D3", kills=("finish-removes-nothing",), rows=(146,))
def a_finished_upload_is_gone(ctx: Context) -> None:
    """A finished upload is unknown, its handle accepts no more bytes, and a close of the handle changes nothing."""
    data = ctx.payload("gone").read(4000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    upload.finish(digest(data)).close()
    with refused(LayerClosedError):
        upload.write(b"more")
    upload.close()
    expect_gone(ctx, "a", upload.uuid)
    expect_layer(ctx, "a", data)


@scenario("M1", "P1", kills=("finish-cannot-be-repeated",), rows=(157, 156))
def finish_again_returns_the_layer_again(ctx: Context) -> None:
    """A second finish of a handle returns its layer again, by each of its digests.

    A client that did not get the answer asks again; that is no error.
    """
    data = ctx.payload("again").read(4000)
    upload = ctx.service().upload("a")
    upload.write(data)
    for _ in range(3):
        with upload.finish(digest(data), len(data)) as layer:
            ctx.same(layer.read(), data, "the layer returned")
    expect_gone(ctx, "a", upload.uuid)


@scenario("R6", "S1", kills=("layer-without-its-size",), rows=(141,))
def a_layer_is_a_seekable_file(ctx: Context) -> None:
    """A layer has its repository, digest, size and time, and is read from any offset like a file."""
    data = ctx.payload("file").read(9000)
    store(ctx.service(), "a", data)
    with ctx.service().fetch("a", digest(data)) as layer:
        assert (layer.name, str(layer.digest), str(layer.canonical)) == ("a", digest(data), digest(data))
        assert (layer.size, layer.seek(0, io.SEEK_END)) == (len(data), len(data))
        assert layer.created_at.utcoffset() == UTC.utcoffset(None)
        for offset in (8999, 0, 512, 4097, 9000, 10_000):
            layer.seek(offset)
            ctx.same(layer.read(700), data[offset:][:700], f"read from {offset}")


@scenario("W6", "P3", "R2", kills=("empty-objects-are-not-made",), rows=(138,))
def a_layer_of_no_bytes_is_a_layer_by_every_route(ctx: Context) -> None:
    """An empty upload, never written to, flushed, streamed or resumed, becomes the same layer of no bytes each time.

    Container tools make such layers, and some backends refuse an empty part.
    """
    service = ctx.service()
    for name in ("flushed", "resumed", "untouched", "written", "streamed"):
        ctx.step(name)
        upload = service.upload(name)
        upload.write(b"") if name == "written" else None
        upload.flush() if name == "flushed" else None
        upload.read_from(io.BytesIO()) if name == "streamed" else None
        if name == "resumed":
            upload.close()
            upload = ctx.service().resume(name, upload.uuid, offset=0)
        upload.finish(digest(b""), 0).close()
        expect_gone(ctx, name, upload.uuid)
        expect_layer(ctx, name, b"")


@scenario("M2", "P1", kills=("existing-blob-is-an-error",), rows=(157,))
def the_same_layer_twice_is_one_layer(ctx: Context) -> None:
    """The same layer uploaded twice, one after the other, is one layer, there all the time."""
    data = ctx.payload("twice").read(6000)
    for _ in range(2):
        store(ctx.service(), "a", data)
        expect_layer(ctx, "a", data)
    assert ctx.stored(BLOBS) == [blob(data)]
    assert [str(info.digest) for info in ctx.service().layers("a")] == [digest(data)]


@scenario("T1", "M2", kills=("existing-blob-is-an-error",), rows=(118, 157))
def the_same_layer_at_once_is_one_layer(ctx: Context) -> None:
    """The same layer uploaded in several threads at once succeeds in all of them, and is one layer.

    Every node of a cluster pulls the same base image at the same moment.
    """
    data = ctx.payload("at-once").read(300_000)

    def store_twice(service: LayerService) -> None:
        for _ in range(2):
            store(service, "a", data)

    together([partial(store_twice, ctx.service()) for _ in range(4)])
    expect_layer(ctx, "a", data)
    assert ctx.stored(BLOBS) == [blob(data)]
    assert list(ctx.service().uploads("a")) == []


@scenario("M2", "K3", kills=("unlink-deletes-the-blob",), rows=(155,))
def one_layer_in_two_repositories_is_stored_once(ctx: Context) -> None:
    """A layer uploaded into two repositories is stored once, and stays in the second when the first unlinks it."""
    data = ctx.payload("shared").read(5000)
    store(ctx.service(), "first", data)
    store(ctx.service(), "second", data)
    assert ctx.stored(BLOBS) == [blob(data)]
    ctx.service().unlink("first", digest(data))
    assert not ctx.service().exists("first", digest(data))
    expect_layer(ctx, "second", data)

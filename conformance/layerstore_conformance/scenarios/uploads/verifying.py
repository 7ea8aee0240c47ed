"""Verification: a layer matches its digest, and bytes that do not match become no layer."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    InvalidArchiveError,
    LayerClosedError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    LayerService,
    UnknownLayerError,
    UnknownUploadError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.layers import BLOBS, begin, blob, link, store
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_no_layer, expect_stored, fetched
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.watching import Trap, change, fail, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side

GROUP = "verify"


class FlippingDriver(PassingDriver):
    """A backend that stores one wrong byte in the middle of every upload's data."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that flips a bit."""
        writer = self.inner.open_writer(key)
        return _FlippingWriter(writer) if key.endswith("/data") else writer


class _FlippingWriter(PassingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        super().write_at(offset, memoryview(changed))


@scenario("W6", "M4", kills=("finish-does-not-verify", "wrong-digest-ends-the-upload"), rows=(142,))
def a_wrong_digest_is_refused_and_the_right_one_accepted(ctx: Context) -> None:
    """A finish with a wrong digest is refused; the right one is then accepted, by the same handle or a resumed one.

    A layer that does not match its digest breaks every image built on it, and nobody can see why.
    """
    data = ctx.payload("wrong").read(6000)
    for name in ("here", "resumed"):
        upload = ctx.service().upload(name)
        upload.write(data)
        upload.flush()
        with refused(LayerInvalidDigestError):
            upload.finish(digest(data[:-1]))
        expect_stored(ctx, name, upload.uuid, data)
        if name == "resumed":
            upload.close()
            upload = ctx.service().resume(name, upload.uuid, offset=len(data))
        upload.finish(digest(data)).close()
        expect_layer(ctx, name, data)
        expect_gone(ctx, name, upload.uuid)


@scenario("M1", "P1", kills=("wrong-digest-is-visible", "finish-does-not-verify"), rows=(143,))
def a_wrong_digest_makes_nothing_visible(ctx: Context) -> None:
    """After a refused digest nothing of the upload is visible: no blob and no link, under either digest."""
    data = ctx.payload("invisible").read(6000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    before = ctx.stored()
    with refused(LayerInvalidDigestError):
        upload.finish(digest(b"something else"))
    expect_no_layer(ctx, "a", digest(data), digest(b"something else"))
    assert ctx.stored() == before, "a refused finish left something"


@scenario("E4", kills=("mismatch-without-the-digest",), rows=(142,))
def a_refused_digest_is_told_with_the_actual_one(ctx: Context) -> None:
    """The error of a refused finish has both digests, the given one and the actual one, for each algorithm."""
    data = ctx.payload("told").read(3000)
    upload = ctx.service().upload("a")
    upload.write(data)
    for algorithm in ("sha256", "sha384", "sha512"):
        wrong = f"{algorithm}:{hashlib.new(algorithm, b'something else').hexdigest()}"
        with refused(LayerInvalidDigestError) as refusal:
            upload.finish(wrong)
        actual = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        assert (refusal.error.digest, refusal.error.actual) == (wrong, actual)


@scenario("M2", "E4", kills=("wrong-digest-is-visible", "finish-does-not-verify"), rows=(144, 162))
def a_refused_digest_keeps_the_layer_that_has_it(ctx: Context) -> None:
    """A finish with the digest of another layer is refused, and that layer keeps its own bytes."""
    data, other = ctx.payload("kept").read(5000), ctx.payload("refused").read(5000)
    store(ctx.service(), "a", data)
    upload = ctx.service().upload("a")
    upload.write(other)
    with refused(LayerInvalidDigestError):
        upload.finish(digest(data))
    expect_layer(ctx, "a", data)
    assert ctx.stored(BLOBS) == [blob(data)]


@scenario("W3", "S1", kills=("size-is-not-compared",), rows=(136, 135))
def a_wrong_size_is_refused_and_the_right_one_accepted(ctx: Context) -> None:
    """A finish with a wrong size raises an error that has the actual one; the right size is then accepted."""
    data = ctx.payload("size").read(5000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    for wrong in (0, 4999, 5001):
        with refused(LayerInvalidSizeError) as refusal:
            upload.finish(digest(data), wrong)
        assert (refusal.error.size, refusal.error.actual) == (wrong, 5000)
    expect_no_layer(ctx, "a", digest(data))
    expect_stored(ctx, "a", upload.uuid, data)
    upload.finish(digest(data), 5000).close()
    expect_layer(ctx, "a", data)


@scenario("P1", "M1", kills=("alias-is-not-linked",), rows=(158,))
def a_layer_is_found_by_each_digest_it_was_given(ctx: Context) -> None:
    """A layer finished by its sha384 or sha512 is found by that and by its sha256; its blob lies under the latter."""
    for algorithm in ("sha256", "sha384", "sha512"):
        data = ctx.payload(algorithm).read(4000)
        wanted = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        upload = ctx.service().upload(algorithm)
        upload.write(data)
        with upload.finish(wanted, len(data)) as layer:
            assert (str(layer.digest), str(layer.canonical)) == (wanted, digest(data))
        expect_layer(ctx, algorithm, data)
        ctx.same(fetched(ctx, algorithm, wanted), data, wanted)
        ctx.expect(link(algorithm, wanted), digest(data).encode())
        assert {str(info.digest) for info in ctx.service().layers(algorithm)} == {wanted, digest(data)}
    assert len(ctx.stored(BLOBS)) == 3


@scenario("R5", "P1", kills=("only-sha256-is-verified",), rows=(158, 142))
def every_algorithm_is_verified(ctx: Context) -> None:
    """A wrong sha384 or sha512 is refused as a wrong sha256 is."""
    data = ctx.payload("every").read(4000)
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.flush()
    wrong = [f"{name}:{hashlib.new(name, data[1:]).hexdigest()}" for name in ("sha384", "sha512")]
    for each in wrong:
        with refused(LayerInvalidDigestError):
            upload.finish(each)
    expect_no_layer(ctx, "a", digest(data), *wrong)
    expect_stored(ctx, "a", upload.uuid, data)


@scenario("P1", "M1", kills=("alias-is-not-linked",), rows=(158,))
def a_tarsum_names_a_layer_and_no_blob(ctx: Context) -> None:
    """A layer finished by its tarsum is found by it in its repository, and its blob lies under its sha256.

    A tarsum is no digest of the bytes: if it were a blob's key, other bytes could take its place.
    """
    data = archive("first", "second")
    upload = ctx.service().upload("a")
    upload.write(data)
    upload.finish(tarsum_of(data)).close()
    expect_layer(ctx, "a", data)
    ctx.same(fetched(ctx, "a", tarsum_of(data)), data, "by its tarsum")
    assert ctx.stored(BLOBS) == [blob(data)]
    ctx.expect(link("a", tarsum_of(data)), digest(data).encode())
    assert not ctx.service().exists("b", tarsum_of(data))


@scenario("F4", "P1", kills=("tarsum-is-pointed-elsewhere",), rows=(144,))
def a_tarsum_is_never_pointed_elsewhere(ctx: Context) -> None:
    """A second archive with a layer's tarsum is refused in that repository, and the first layer keeps the name."""
    first, second = archive("first", "second"), archive("second", "first")
    assert tarsum_of(first) == tarsum_of(second)
    for name, data in (("a", first), ("b", second)):
        upload = ctx.service().upload(name)
        upload.write(data)
        upload.finish(tarsum_of(data)).close()
    upload = ctx.service().upload("a")
    upload.write(second)
    with refused(LayerExistsError):
        upload.finish(tarsum_of(second))
    with refused(LayerExistsError):
        ctx.service().mount("a", tarsum_of(second), source="b")
    assert fetched(ctx, "a", tarsum_of(second)) == first
    assert fetched(ctx, "b", tarsum_of(second)) == second
    upload.finish(digest(second)).close()
    expect_layer(ctx, "a", second)


@scenario("E4", kills=("tarsum-is-not-verified",), rows=(182,))
def what_is_no_archive_has_no_tarsum(ctx: Context) -> None:
    """A finish of bytes that are no archive by a tarsum is refused and leaves nothing; their digest works."""
    data = ctx.payload("archive").read(3000)
    upload = ctx.service().upload("a")
    upload.write(data)
    with refused(InvalidArchiveError):
        upload.finish(tarsum_of(archive("first")))
    expect_no_layer(ctx, "a", digest(data), tarsum_of(archive("first")))
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)


@scenario("M2", "P1", "S1", kills=("existing-blob-is-taken-for-good",), rows=(160,))
def a_damaged_blob_is_healed_by_the_next_upload(ctx: Context) -> None:
    """A blob with other bytes than its digest says, more, fewer or none, is healed by an upload of the layer.

    A registry that skips blobs which are there already keeps a damaged layer for ever.
    """
    data = ctx.payload("healed").read(5000)
    store(ctx.service(), "a", data)
    for damaged in (data[:-1], b"", data + b"x", data[:2000] + bytes(100) + data[2100:]):
        ctx.open().put(blob(data), damaged)
        store(ctx.service(), "b", data)
        expect_layer(ctx, "b", data)
        expect_layer(ctx, "a", data)


@scenario("R3", "S3", kills=("exists-without-a-blob",), rows=(144,))
def a_link_without_its_blob_is_no_layer(ctx: Context) -> None:
    """A layer whose blob is missing is unknown, and comes back when it is uploaded again."""
    data = ctx.payload("blobless").read(3000)
    store(ctx.service(), "a", data)
    ctx.open().delete(blob(data))
    assert not ctx.service().exists("a", digest(data))
    with refused(UnknownLayerError):
        ctx.service().fetch("a", digest(data))
    assert list(ctx.service().layers("a")) == []
    store(ctx.service(), "a", data)
    expect_layer(ctx, "a", data)


@scenario("P1", "R1", kills=("damaged-link-is-an-error",), rows=(160,))
def a_damaged_link_is_no_layer(ctx: Context) -> None:
    """A layer whose link is damaged is unknown, not an error of storage, and comes back when it is uploaded again."""
    data = ctx.payload("linked").read(3000)
    store(ctx.service(), "a", data)
    for damaged in (b"", b"\xff\xfe", b"sha256:short", digest(data).encode() + b" x", digest(data).encode()[:-1]):
        ctx.open().put(link("a", digest(data)), damaged)
        assert not ctx.service().exists("a", digest(data)), f"with the link {damaged!r}"
        with refused(UnknownLayerError):
            ctx.service().fetch("a", digest(data))
    store(ctx.service(), "a", data)
    expect_layer(ctx, "a", data)


@scenario("W6", "R5", kills=("reread-does-not-read", "wrong-bytes-after-a-flush"), rows=(141,))
def what_is_read_back_is_what_was_written(ctx: Context) -> None:
    """With ``verify="reread"`` a finish accepts a backend that keeps its bytes, and refuses one that changes a byte.

    A disk, a proxy or a driver may lose a bit; otherwise nobody knows before the layer is unpacked, on another machine.
    """
    data = ctx.payload("reread").read(300_000)
    store(ctx.service("reread"), "kept", data)
    expect_layer(ctx, "kept", data)
    ctx.service().unlink("kept", digest(data))
    upload = LayerService(CheckedDriver(FlippingDriver(ctx.open())), verify="reread").upload("changed")
    upload.write(data)
    with refused(LayerInvalidDigestError):
        upload.finish(digest(data))
    assert list(ctx.service().layers()) == [], "bytes that were changed have become a layer"


@scenario("W6", "R5", kills=("reread-does-not-read",), rows=(141,))
def a_resumed_upload_is_read_back_whole(ctx: Context) -> None:
    """With ``verify="reread"`` the bytes of an earlier handle are read back too, even if a saved state is there."""
    data = ctx.payload("resumed").read(9000)
    flipping = LayerService(CheckedDriver(FlippingDriver(ctx.open())))
    uuid = begin(flipping, "a", data[:5000])
    upload = ctx.service("reread").resume("a", uuid, offset=5000)
    upload.write(data[5000:])
    with refused(LayerInvalidDigestError) as refusal:
        upload.finish(digest(data))
    stored = ctx.read(layout.UploadKeys("a", uuid).data)
    assert (len(stored), refusal.error.actual) == (9000, digest(stored))


@scenario("M1", "P1", kills=("moved-blob-is-not-read",), rows=(144, 162))
def a_finish_gone_on_with_reads_the_blob_back(ctx: Context) -> None:
    """A finish that was cut off after its data became a blob, damaged since, is refused and links nothing.

    Between the two another writer may have put any bytes under the blob's key.
    """
    data = ctx.payload("cut").read(4000)
    upload = moved_only(ctx, data)
    ctx.open().put(blob(data), data[:-1] + b"x")
    with refused(LayerInvalidDigestError):
        ctx.service().resume("a", upload.uuid).finish(digest(data))
    assert not ctx.service().exists("a", digest(data)), "a damaged blob was linked"
    ctx.open().put(blob(data), data)
    ctx.service().resume("a", upload.uuid).finish(digest(data)).close()
    expect_layer(ctx, "a", data)


def failed_finishes(ctx: Context, side: Side) -> Iterator[tuple[LayerUpload, bytes]]:
    """Yield uploads, each with its bytes, whose finish failed before or after another call that changes a key."""
    for index in itertools.count():
        data = ctx.payload(f"failed-{index}").read(3000)
        trap = Trap(side)
        upload = watched(ctx, trap).upload("a")
        upload.write(data)
        upload.flush()
        trap.set(change(index), fail)
        with suppress(BackendUnavailableError):
            upload.finish(digest(data), len(data)).close()
        if not trap.sprung:
            return
        ctx.step(f"failed {side} {trap.calls[-1].method}")
        yield upload, data


@scenario("E4", "M1", "P1", kills=("no-intent", "finish-forgets-what-it-did"), rows=(174, 161))
def a_failed_finish_is_repeated(ctx: Context) -> None:
    """A finish that failed at any of its calls succeeds when it is repeated, and leaves nothing."""
    for upload, data in failed_finishes(ctx, "before"):
        upload.finish(digest(data), len(data)).close()
        expect_layer(ctx, "a", data)
        expect_gone(ctx, "a", upload.uuid)


@scenario("M1", "M2", "P1", kills=("no-intent", "finish-forgets-what-it-did"), rows=(174,))
def a_finish_whose_answer_was_lost_is_repeated(ctx: Context) -> None:
    """A finish of which any call took effect but was reported as failed succeeds when it is repeated.

    The backend has done the work, and its answer is lost on the way.
    """
    for upload, data in failed_finishes(ctx, "after"):
        upload.finish(digest(data), len(data)).close()
        expect_layer(ctx, "a", data)
        expect_gone(ctx, "a", upload.uuid)


@scenario("M1", "M2", "P1", kills=("no-intent", "moved-blob-is-unknown"), rows=(174, 173))
def a_failed_finish_is_taken_over(ctx: Context) -> None:
    """After a finish that failed at any call, another service finishes the upload, unless its layer is there."""
    for upload, data in failed_finishes(ctx, "after"):
        try:
            again = ctx.service().resume("a", upload.uuid)
        except UnknownUploadError:
            expect_layer(ctx, "a", data)
            continue
        assert again.tell() == again.size == len(data)
        again.finish(digest(data), len(data)).close()
        expect_layer(ctx, "a", data)
        expect_gone(ctx, "a", upload.uuid)


@scenario("M1", kills=("uploads-listed-at-offset-zero", "moved-blob-is-unknown"), rows=(129,))
def a_moved_upload_is_listed_until_it_is_linked(ctx: Context) -> None:
    """An upload whose finish failed after its data was moved is listed with its size, and takes no other bytes."""
    data = ctx.payload("moved").read(3000)
    upload = moved_only(ctx, data)
    assert [(info.uuid, info.offset) for info in ctx.service().uploads("a")] == [(upload.uuid, 3000)]
    again = ctx.service().resume("a", upload.uuid, offset=3000)
    with refused(LayerClosedError):
        again.write(b"more")
    for wrong in (digest(data[1:]), f"sha512:{'0' * 128}"):
        with refused(LayerInvalidDigestError):
            again.finish(wrong)
    assert not ctx.service().exists("a", digest(data))
    again.finish(digest(data), 3000).close()
    expect_layer(ctx, "a", data)

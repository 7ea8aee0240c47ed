"""Any digest: finishes by a tarsum, sha384 or sha512, refused or gone on with, as careful as those by sha256."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from layerstore import (
    Digest,
    InvalidArchiveError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    PathNotFoundError,
    UnknownUploadError,
    layout,
)
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.layers import BLOBS, blob
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import LONG_AGO
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, fetched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "verify"

MIB = 1 << 20

UUID = "01234567-89ab-cdef-0123-456789abcdef"
KEYS = layout.UploadKeys("a", UUID)

ALGORITHMS = ("sha256", "sha384", "sha512", "tarsum")


def named(data: bytes, algorithm: str) -> str:
    """Return the digest of an archive by an algorithm."""
    return tarsum_of(data) if algorithm == "tarsum" else f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


ALGORITHM = Axis("algorithm", {each: each for each in ALGORITHMS})


def half_finished(ctx: Context, wanted: str, *datas: bytes) -> None:
    """Make an upload whose data may have become each of these blobs, which are there."""
    for data in datas:
        ctx.driver.put(KEYS.intent(Digest.parse(digest(data))), wanted.encode("ascii"))
        ctx.driver.put(blob(data), data)
    ctx.driver.put(KEYS.started_at, LONG_AGO)


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "other padding": lambda data: data + bytes(512),  # an archive with the same tarsum
    "other times": lambda data: _as_of(data, 1_000_000),  # and one of the same size
    "a byte": lambda data: data[:-1] + b"x",
    "cut": lambda data: data[:-512],
    "no archive": lambda data: b"no archive",
    "nothing": lambda data: b"",
    "gone": lambda data: None,
}


def _as_of(data: bytes, time: int) -> bytes:
    """Return the archive with another time of its first file, which a tarsum leaves out."""
    header = bytearray(data[:512])
    header[136:148] = b"%011o\0" % time
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


@scenario(
    *("M1", "P1", "M4"),
    kills=("moved-blob-is-read-for-what-was-asked", "moved-blob-is-not-read", "healed-blob-has-its-old-size"),
    rows=(144, 162),
    axes=(ALGORITHM, Axis("damage", DAMAGES)),
)
def a_finish_gone_on_with_by_any_digest_links_no_damaged_blob(
    ctx: Context, algorithm: str, damage: Callable[[bytes], bytes | None]
) -> None:
    """A blob that was damaged is not linked by a finish that goes on, by whatever digest; healed, it is.

    Archives of different bytes may have one tarsum: if a blob has the right one, its bytes may still be others.
    """
    data = archive("first", "second")
    wanted, broken = named(data, algorithm), damage(data)
    half_finished(ctx, wanted, data)
    uploads = [ctx.service().resume("a", UUID)]
    if broken is None:
        ctx.driver.delete(blob(data))
    else:
        ctx.driver.put(blob(data), broken)
        uploads.append(ctx.service().resume("a", UUID))
    for upload in uploads:
        with refused(LayerInvalidDigestError, InvalidArchiveError, PathNotFoundError, UnknownUploadError):
            upload.finish(wanted)
    assert list(ctx.service().layers()) == [], "a damaged blob was linked"
    ctx.driver.put(blob(data), data)
    with uploads[-1].finish(wanted, len(data)) as layer:
        assert layer.size == len(data), f"a layer of {len(data)} bytes has the size {layer.size}"
        ctx.same(layer.read(), data, "the layer that the finish returned")
    expect_layer(ctx, "a", data)
    ctx.same(fetched(ctx, "a", wanted), data, f"by its {algorithm}")
    expect_gone(ctx, "a", UUID)


@scenario("S1", "M1", "R1", kills=("layer-of-two-blobs-has-the-longer-size",), rows=(129, 144), axes=(ALGORITHM,))
def a_finish_gone_on_with_returns_the_layer_of_its_digest(ctx: Context, algorithm: str) -> None:
    """Of an upload that may have become two blobs, a finish returns the one asked for, with its size and its bytes.

    A client seeks to the end to learn how much it has to send.
    """
    both = (archive("first"), archive("first", "second", "third") + bytes(20_480))
    for data in both:
        wanted = named(data, algorithm)
        half_finished(ctx, wanted, *both)
        layer = ctx.service().resume("a", UUID).finish(wanted, len(data))
        assert layer.size == len(data), f"a layer of {len(data)} bytes has the size {layer.size}"
        assert (str(layer.digest), str(layer.canonical), layer.name) == (wanted, digest(data), "a")
        assert layer.seek(0, os.SEEK_END) == len(data), "the end of the layer is elsewhere"
        assert layer.seek(-512, os.SEEK_END) == len(data) - 512
        ctx.same(layer.read(), data[-512:], "its end")
        layer.seek(0)
        ctx.same(layer.read(), data, "the layer")
        layer.close()
        with ctx.service().fetch("a", wanted) as again:
            assert again.size == len(data)
        expect_gone(ctx, "a", UUID)
        ctx.service().unlink("a", wanted)


def gathered(ctx: Context, data: bytes) -> LayerUpload:
    """Begin an upload whose bytes are in memory."""
    upload = ctx.service().upload("a")
    upload.write(data)
    return upload


def spilled(ctx: Context, data: bytes) -> LayerUpload:
    """Begin an upload whose bytes are in the backend, and of which nobody else knows."""
    upload = ctx.service().upload("a")
    upload.read_from(io.BytesIO(data))
    return upload


def flushed(ctx: Context, data: bytes) -> LayerUpload:
    """Begin an upload, and flush it."""
    upload = gathered(ctx, data)
    upload.flush()
    return upload


def resumed(ctx: Context, data: bytes) -> LayerUpload:
    """Begin an upload, close it, and resume it."""
    upload = gathered(ctx, data)
    upload.close()
    return ctx.service().resume("a", upload.uuid, offset=len(data))


def reread(ctx: Context, data: bytes) -> LayerUpload:
    """Begin an upload whose bytes are read back."""
    upload = ctx.service("reread").upload("a")
    upload.write(data)
    return upload


STATES = Axis(
    "state",
    {
        "gathered": (gathered, 0),
        "spilled": (spilled, 2 * MIB),
        "flushed": (flushed, 0),
        "resumed": (resumed, 0),
        "large and resumed": (resumed, 2 * MIB),
        "reread": (reread, 0),
    },
)
"""How an upload came to its bytes, and how many zeros are behind the archive: they do not change its tarsum."""


def refusals(taken: bytes, mine: bytes) -> Iterator[tuple[type[Exception], str, int | None]]:
    """Yield finishes that are refused: the kind of the error, the digest and the size."""
    yield LayerExistsError, tarsum_of(mine), None
    yield LayerExistsError, tarsum_of(mine), len(mine)
    for algorithm in ALGORITHMS:
        if algorithm != "tarsum":
            yield LayerInvalidSizeError, named(mine, algorithm), len(mine) + 1
            yield LayerInvalidDigestError, named(taken, algorithm), None
    yield LayerInvalidDigestError, tarsum_of(archive("another")), None


Begin = Callable[["Context", bytes], "LayerUpload"]


@scenario(
    *("E4", "M1", "P1"),
    kills=("taken-tarsum-is-noticed-late", "taken-tarsum-of-a-small-layer-is-noticed-late"),
    rows=(142, 144),
    axes=(STATES,),
)
def a_refused_finish_by_any_digest_leaves_the_upload_as_it_was(ctx: Context, state: tuple[Begin, int]) -> None:
    """A finish that is refused, for a tarsum that other bytes have too, makes no blob, and the upload can go on.

    If its data became a blob before the refusal, the client could write nothing more, and the blob is nobody's.
    """
    begun, zeros = state
    taken = archive("first", "second")
    other = ctx.service().upload("a")
    other.write(taken)
    other.finish(tarsum_of(taken)).close()
    mine = archive("second", "first") + bytes(zeros)
    upload = begun(ctx, mine)
    for kind, wanted, size in refusals(taken, mine):
        with refused(kind):
            upload.finish(wanted, size)
        assert ctx.stored(BLOBS) == [blob(taken)], f"a finish refused by {kind.__name__} has left a blob"
        assert not upload.moved, f"a finish refused by {kind.__name__} has made the data a blob"
        assert (upload.tell(), upload.size) == (len(mine), len(mine)), f"at {upload.tell()} of {upload.size}"
    whole = mine + bulk("goes-on", 700, ctx.seed)
    assert upload.write(whole[len(mine) :]) == 700
    if upload.known:
        upload.close()
        upload = ctx.service().resume("a", upload.uuid, offset=len(whole))
    upload.finish(named(whole, "sha512"), len(whole)).close()
    expect_layer(ctx, "a", whole)
    ctx.same(fetched(ctx, "a", tarsum_of(taken)), taken, "whose tarsum it is")
    expect_gone(ctx, "a", upload.uuid)

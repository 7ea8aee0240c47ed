"""Known uploads: from which moment on others know of an upload, and what it says of that itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    Digest,
    LayerClosedError,
    LayerInvalidDigestError,
    UnknownUploadError,
    layout,
)
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.layers import blob
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import LONG_AGO
from layerstore_conformance.steps.expectations import expect_gone, expect_layer
from layerstore_conformance.steps.watching import Trap, fail, number, of, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side

GROUP = "upload"

MIB = 1 << 20


def found(ctx: Context, upload: LayerUpload) -> bool:
    """Return whether others find an upload, by its id and in the listing."""
    try:
        ctx.service().status("a", upload.uuid)
    except UnknownUploadError:
        there = False
    else:
        there = True
    listed = upload.uuid in [info.uuid for info in ctx.service().uploads("a")]
    assert listed == there, (
        f"by its id it is {'found' if there else 'unknown'}, and it is {'' if listed else 'not '}listed"
    )
    return there


def expect_known(ctx: Context, upload: LayerUpload, known: bool, after: str) -> None:  # noqa: FBT001  (what is expected)
    """Check that an upload is known or not, and says so."""
    assert found(ctx, upload) == known, f"after {after} others {'do not ' * known}know of the upload"
    assert upload.known == known, f"after {after} known is {upload.known}"


Write = Callable[["Context", "LayerUpload"], None]


def nothing(ctx: Context, upload: LayerUpload) -> None:
    """Write nothing."""


def little(ctx: Context, upload: LayerUpload) -> None:
    """Write what is gathered in memory."""
    upload.write(ctx.payload("little").read(3000))


def much(ctx: Context, upload: LayerUpload) -> None:
    """Write what reaches the backend, hashed on its way in."""
    upload.write(bulk("much", 2 * MIB + 7, ctx.seed))


def many(ctx: Context, upload: LayerUpload) -> None:
    """Write small pieces, so many that they reach the backend."""
    data = bulk("much", 2 * MIB + 7, ctx.seed)
    for start in range(0, len(data), 100_000):
        upload.write(data[start : start + 100_000])


def middle(ctx: Context, upload: LayerUpload) -> None:
    """Write the middle anew."""
    much(ctx, upload)
    upload.seek(MIB + 5)
    upload.write(b"anew")


def gap(ctx: Context, upload: LayerUpload) -> None:
    """Write after a gap."""
    much(ctx, upload)
    upload.seek(3 * MIB)
    upload.write(b"behind a gap")


WRITES: dict[str, Write] = {each.__name__: each for each in (nothing, little, much, many, middle, gap)}

VERIFY = Axis("verify", {"resume": "resume", "reread": "reread"})


@scenario(
    *("W6", "W7", "R5"),
    kills=("a-digest-makes-known", "a-digest-that-reads-back-is-not-told"),
    rows=(129, 142),
    axes=(Axis("write", WRITES), VERIFY),
)
def a_digest_makes_an_upload_known_if_its_bytes_are_read_back(ctx: Context, write: Write, verify: str) -> None:
    """Others know of an upload before its bytes are read back, and a digest of hashed bytes makes nothing known.

    A purge takes data of which nobody knows for a leftover, and reading back may take hours; and an upload that is
    known costs requests, and has to be removed.
    """
    trap = Trap()
    upload = watched(ctx, trap, verify).upload("a")  # type: ignore[arg-type]  # the points are the two
    write(ctx, upload)
    expect_known(ctx, upload, known=False, after="writes alone")
    first: list[bool] = []
    trap.set(of("read_at", "/data"), lambda: first.append(found(ctx, upload)))
    wanted = str(upload.digest())
    assert first in ([], [True]), "bytes are read back for a digest of an upload of which nobody knows"
    expect_known(ctx, upload, known=bool(first), after=f"a digest that {'has' if first else 'has not'} read bytes back")
    assert (write in (nothing, little, much, many)) <= (not first), "hashed bytes are read back for a digest"
    with refused(LayerInvalidDigestError):
        upload.finish(digest(b"something else"))
    assert upload.known == found(ctx, upload), f"after a refused finish known is {upload.known}"
    upload.flush()
    expect_known(ctx, upload, known=True, after="a flush")
    assert str(upload.digest()) == wanted, "a flush has changed the digest"
    upload.close()
    assert found(ctx, upload), "after a close nobody knows of the upload"
    ctx.service().resume("a", upload.uuid, offset=upload.size).finish(wanted).close()
    expect_gone(ctx, "a", upload.uuid)


@scenario(
    "E4", "W6", "W8", kills=("begun-is-known",), rows=(129, 174), profile="default", axes=(Axis("write", WRITES),)
)
def an_upload_whose_flush_failed_is_known_if_it_says_so(ctx: Context, write: Write) -> None:
    """After a flush that failed at any call, an upload does not say that others know of it unless they do.

    A server that believes it sends a client to an upload that nobody finds. The flush is repeated, and then they do.
    """
    sides: tuple[Side, ...] = ("before", "after")
    for side in sides:
        for index in count():
            trap = Trap(side)
            upload = watched(ctx, trap).upload("a")
            write(ctx, upload)
            trap.set(number(index), fail)
            with suppress(BackendUnavailableError):
                upload.flush()
            if not trap.sprung:
                break
            told = f"known is {upload.known}, after a flush that failed {side} {trap.calls[-1].method}"
            assert found(ctx, upload) or not upload.known, told
            upload.flush()
            expect_known(ctx, upload, known=True, after="a flush that was repeated")
            upload.cancel()
            assert not found(ctx, upload), "a cancelled upload is found"
            ctx.count("moments")


TAKES: dict[str, Callable[[LayerUpload], object]] = {
    "write": lambda upload: upload.write(b"more"),
    "write of nothing": lambda upload: upload.write(b""),
    "read_from": lambda upload: upload.read_from(_Unread()),
    "digest": lambda upload: upload.digest(),
}


class _Unread:
    def read(self, size: int) -> bytes:
        raise AssertionError(f"{size} bytes of a stream are read that cannot be stored")


@scenario("M1", "E4", kills=("moved-upload-has-the-digest-of-nothing",), rows=(129, 144))
def an_upload_whose_data_is_a_blob_is_known_and_takes_nothing(ctx: Context) -> None:
    """An upload whose data has become a blob is known; a write, a stream and a digest raise LayerClosedError.

    They change nothing, and the finish goes on. A digest of no bytes would let a client finish by it.
    """
    data = ctx.payload("moved").read(3000)
    keys = layout.UploadKeys("a", "01234567-89ab-cdef-0123-456789abcdef")
    ctx.driver.put(keys.started_at, LONG_AGO)
    ctx.driver.put(keys.intent(Digest.parse(digest(data))), digest(data).encode("ascii"))
    ctx.driver.put(blob(data), data)
    before = ctx.stored()
    upload = ctx.service().resume("a", keys.uuid, offset=len(data))
    assert upload.moved
    for name, act in TAKES.items():
        with refused(LayerClosedError):
            act(upload)
        assert ctx.stored() == before, f"{name} has changed something"
        expect_known(ctx, upload, known=True, after=name)
        assert (upload.tell(), upload.size, upload.closed) == (len(data), len(data), False), f"after {name}"
    upload.flush()
    assert ctx.stored() == before, "a flush has changed something"
    upload.finish(digest(data), len(data)).close()
    expect_layer(ctx, "a", data)
    expect_gone(ctx, "a", keys.uuid)

"""Interrupted uploads: Ctrl-C in the middle of a write, a stream, a digest or a flush; the same is then repeated."""

from __future__ import annotations

import io
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from layerstore import DriverError, LayerInvalidDigestError, UnknownUploadError, layout
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.archives import archive, tarsum_of
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.layers import blob
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap, number, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload, Verify
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side

GROUP = "resume"

MIB = 1 << 20


class Work(NamedTuple):
    """A call of an upload that holds some bytes already."""

    begun: int
    """Bytes that were written before."""
    back: int
    """Bytes from their end back to where the work begins."""
    rest: int
    """Bytes that it writes."""
    act: Callable[[LayerUpload, bytes], object]
    """Takes the bytes."""


def _stream(upload: LayerUpload, data: bytes) -> None:
    """Write a stream, or what is left of it when the upload has got its first bytes already."""
    upload.read_from(io.BytesIO(data))


def _digest(upload: LayerUpload, data: bytes) -> None:
    """Write, and read that back for a digest; the position stays until both are done."""
    at = upload.tell()
    try:
        upload.write(data)
        upload.digest()
    except BaseException:
        upload.seek(at)
        raise


WORKS: dict[str, Work] = {
    "a write of many blocks": Work(0, 0, 2 * MIB + 5, lambda upload, data: upload.write(data)),
    "a write of a block": Work(MIB + 3, 0, MIB, lambda upload, data: upload.write(data)),
    "a small write": Work(FRONT - 10, 0, 700, lambda upload, data: upload.write(data)),
    "a write over what there is": Work(MIB + 3, 300_000, 700_000, lambda upload, data: upload.write(data)),
    "a small write over what there is": Work(MIB + 70_000, MIB, 700, lambda upload, data: upload.write(data)),
    "a stream": Work(700, 0, MIB + 700_000, _stream),
    "a flush": Work(700, 0, 0, lambda upload, _: upload.flush()),
    "a flush of more": Work(MIB + 3, 0, 0, lambda upload, _: upload.flush()),
    "a digest": Work(MIB + 3, 0, 0, lambda upload, _: upload.digest()),
    "a digest of what was written over": Work(MIB + 3, 300_000, 300_000, _digest),
}

INTERRUPTIONS: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit, CancelledError, GeneratorExit)
"""What a handler of a signal, or a loop that ends a task, raises in the middle of a call: none is an Exception."""


def _interrupting(kind: type[BaseException]) -> Callable[[], NoReturn]:
    def interrupt() -> NoReturn:
        raise kind("made by the scenario")

    return interrupt


@scenario(
    *("E4", "W2", "W8", "M4"),
    kills=(
        *("interrupted-write-has-moved-on", "interrupted-spill-keeps-its-buffer", "interrupted-spill-loses-its-bytes"),
    ),
    rows=(162, 164, 174),
    profile="default",
    axes=(Axis("work", WORKS), Axis("side", {"before": "before", "after": "after"})),
)
def an_upload_interrupted_at_any_call_is_repeated(ctx: Context, work: Work, side: Side) -> None:
    """If Ctrl-C interrupts an upload before or after any call of the driver, the same can be done once more.

    The position is where it was, and each byte is stored and hashed once. A program that is told to stop at a bad
    moment goes on later, and has to get the layer that it has written.
    """
    for index in count():
        trap = Trap(side)
        upload = watched(ctx, trap).upload("a")
        if not _written(ctx, upload, work, trap, index):
            return
        ctx.count("moments")


def _written(ctx: Context, upload: LayerUpload, work: Work, trap: Trap, index: int) -> bool:
    """Interrupt the work at its call of this number; return whether it has so many."""
    at = work.begun - work.back
    both = bulk("interrupted", work.begun + work.rest, ctx.seed)
    data, rest = both[: work.begun], both[work.begun :]
    kind = INTERRUPTIONS[index % len(INTERRUPTIONS)]

    upload.write(data)
    upload.seek(at)
    kept = []  # a log or a debugger keeps the error, and with its frames what they hold
    times = 2 if ctx.profile == "full" else 1
    for _ in range(times):
        trap.set(number(index), _interrupting(kind))
        try:
            work.act(upload, rest[upload.tell() - at :])
        except kind as error:
            kept.append(error)
            if work.act is not _stream:
                where = f"{trap.side} {trap.calls[-1].method} of {trap.calls[-1].size} bytes"
                assert upload.tell() == at, f"at {upload.tell()} instead of {at}, interrupted {where}"
            continue
        break
    sprung = bool(kept)
    trap.set(lambda *_: False, _interrupting(kind))
    if len(kept) == times:
        work.act(upload, rest[upload.tell() - at :])
    whole = data[:at] + rest + data[at + len(rest) :]
    assert upload.size == len(whole), f"{upload.size} bytes instead of {len(whole)}"
    upload.finish(digest(whole), len(whole)).close()
    ctx.expect(blob(whole), whole)
    assert ctx.service().exists("a", digest(whole)), "finished, and no layer of the repository"
    kept.clear()
    return sprung


@scenario(
    *("E4", "W2", "R5", "M4"),
    kills=("an-interrupted-write-stays-hashed",),
    rows=(162, 164, 174),
    profile="default",
    axes=(Axis("work", WORKS), Axis("side", {"before": "before", "after": "after"})),
)
def a_finish_after_an_interruption_accepts_what_is_stored(ctx: Context, work: Work, side: Side) -> None:
    """If Ctrl-C interrupts an upload at any call, a finish accepts no digest but that of the bytes which it stores.

    A hash that has got the bytes of a write that was not done would have a layer accepted that is another.
    """
    at = work.begun - work.back
    both = bulk("interrupted", work.begun + work.rest, ctx.seed)
    data, rest = both[: work.begun], both[work.begun :]
    whole = data[:at] + rest + data[at + len(rest) :]
    for index in count():
        trap, kind = Trap(side), INTERRUPTIONS[index % len(INTERRUPTIONS)]
        upload = watched(ctx, trap).upload("a")
        upload.write(data)
        upload.seek(at)
        trap.set(number(index), _interrupting(kind))
        with suppress(kind):
            work.act(upload, rest)
        if not trap.sprung:
            return
        ctx.count("moments")
        for wanted in (whole, data, *(whole[:end] for end in range(at, len(whole), MIB))):
            with suppress(LayerInvalidDigestError, DriverError):  # a handle may know less than the backend has
                upload.finish(digest(wanted)).close()
                ctx.same(ctx.read(blob(wanted)), wanted, f"a layer, interrupted {side} call {index}")
                break
        upload.cancel()
        ctx.driver.delete(layout.ROOT)


FINISHED: dict[str, tuple[Verify, int]] = {"small": ("resume", 0), "large": ("resume", MIB), "read back": ("reread", 0)}
"""How the bytes are verified, and how many zeros are behind the archive that they are."""

NAMED = {"sha256": digest, "tarsum": tarsum_of}


@scenario(
    *("E4", "M1", "P1"),
    kills=("interrupted-finish-is-over", "interrupted-finish-forgets-its-intent"),
    rows=(161, 174),
    profile="default",
    axes=(Axis("finished", FINISHED), Axis("named", NAMED), Axis("side", {"before": "before", "after": "after"})),
)
def a_finish_of_a_known_upload_interrupted_at_any_call_goes_on(
    ctx: Context, finished: tuple[Verify, int], named: Callable[[bytes], str], side: Side
) -> None:
    """A finish that Ctrl-C interrupts before or after any call is repeated by the same handle, or by a resumed one.

    The second one finds the upload, or the layer is there.
    """
    verify, zeros = finished
    data = archive("first", "second") + bytes(zeros)
    wanted = named(data)
    for index in count():
        trap = Trap(side)
        upload = watched(ctx, trap, verify).upload("a")
        upload.write(data)
        upload.flush()
        trap.set(number(index), _interrupting(INTERRUPTIONS[index % len(INTERRUPTIONS)]))
        with suppress(*INTERRUPTIONS):
            upload.finish(wanted, len(data)).close()
        if not trap.sprung:
            return
        if index % 2:
            upload.finish(wanted, len(data)).close()
        else:
            with suppress(UnknownUploadError):
                ctx.service(verify).resume("a", upload.uuid, offset=len(data)).finish(wanted, len(data)).close()
        assert ctx.service().exists("a", wanted), f"interrupted {side} {trap.calls[-1].method}, the layer is lost"
        ctx.expect(blob(data), data)
        upload.cancel()
        assert ctx.stored(layout.UploadKeys("a", upload.uuid).prefix) == [], "left of the upload"
        ctx.driver.delete("docker")
        ctx.count("moments")

"""Gathered: writes that wait to be hashed, together or by a thread, are written over, before and after gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import LayerInvalidDigestError
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_gone, expect_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "verify"

FLUSHED = Axis("flushed", {"700": 700, "70,000": 70_000, "400,000": 400_000})
"""Bytes that are flushed first: after that an upload is hashed on its way."""

WRITES = Axis(
    "writes",
    {
        "10": (10,),
        "764": (700, 63, 1),
        "60,000": (30_000, 30_000),
        "300,000 and 7": (300_000, 7),
        "2 MiB and 300": (1 << 20, 1 << 20, 300),
    },
)
"""Bytes of writes that follow: small ones, which are hashed together, and large ones, which a thread hashes."""

PLACES = Axis(
    "place",
    {
        "before them": lambda length: -1,
        "their first byte": lambda length: 0,
        "their second byte": lambda length: 1,
        "their middle": lambda length: length // 2,
        "their last byte": lambda length: length - 1,
        "behind them": lambda length: length,
    },
)
"""Where the upload goes back to."""

FIRST = Axis("first", {"nothing": 0, "a write after a gap": 300, "a write far away": 1 << 20})
"""What is written before that: at so many bytes behind the end."""

OVER = Axis("over", {"a byte": 1, "half of them": 0.5, "over the end": 1.2})

AGAIN = Axis("again", {"no": None, "further back": -2, "at their end": -1, "at their begin": 0})
"""Where the upload goes after that, from the first or the last of those bytes."""


@scenario(
    *("W4", "W5", "S2"),
    kills=("gathered-bytes-stay-hashed", "cursor-not-cut-on-rewrite"),
    rows=(142, 159),
    axes=(FLUSHED, WRITES, PLACES, FIRST, OVER, AGAIN),
)
def what_was_written_last_is_written_over(
    ctx: Context,
    flushed: int,
    writes: tuple[int, ...],
    place: Callable[[int], int],
    first: int,
    over: float,
    again: int | None,
) -> None:
    """An upload that goes back into the writes that it has just got has the digest of what it holds.

    Small ones are hashed later, together. If they were hashed as they had been, finish would refuse the layer, or
    accept another.
    """
    upload, model = ctx.service().upload("a"), bytearray()
    for size in (flushed, *writes):
        _write(upload, model, len(model), bulk("written", len(model) + size, ctx.seed)[len(model) :])
        if len(model) == flushed:
            upload.flush()
    before, length = bytes(model), sum(writes)
    if first:
        _write(upload, model, len(model) + first, b"behind")
    new = bulk("over", max(1, int(length * over)) if over != 1 else 1, ctx.seed)
    _write(upload, model, flushed + place(length), new)
    if again is not None:
        _write(upload, model, flushed + (length - 1 if again == -1 else again), b"again")
    with refused(LayerInvalidDigestError):
        upload.finish(digest(before))
    upload.finish(digest(bytes(model)), len(model)).close()
    expect_layer(ctx, "a", bytes(model))
    expect_gone(ctx, "a", upload.uuid)


BEFORE = Axis("before", {"1": 1, "700": 700, **{f"{FRONT:,} - {less}": FRONT - less for less in (2, 1, 0)}})
"""Bytes of the write before: as many as are gathered at most, or a few less."""

BESIDE = Axis("beside", {f"{gap:+}": gap for gap in (-2, -1, 0, 1, 2, 3)})
"""Where the next write begins, from the end of that one."""

COUNT = Axis("count", {"1": 1, "2": 2, "3": 3, "1 MiB": 1 << 20})
"""Bytes of that."""


@scenario(
    *("W3", "W4", "W5"),
    kills=("a-gap-of-a-byte-is-closed",),
    rows=(64, 142),
    axes=(Axis("flushed", {"nothing": 0, "10": 10}), BEFORE, BESIDE, COUNT),
)
def a_write_right_beside_the_last_one_is_where_it_was_put(
    ctx: Context, flushed: int, before: int, beside: int, count: int
) -> None:
    """A write that begins a byte or two before or behind the last one's end is there, and gaps are zeros."""
    upload, model = ctx.service().upload("a"), bytearray()
    if flushed:
        _write(upload, model, 0, bulk("flushed", flushed, ctx.seed))
        upload.flush()
    _write(upload, model, flushed, bulk("before", before, ctx.seed))
    _write(upload, model, max(0, len(model) + beside), bulk("beside", count, ctx.seed))
    _write(upload, model, len(model), b"behind")
    assert upload.size == len(model), f"{upload.size} of {len(model)} bytes"
    upload.finish(digest(bytes(model)), len(model)).close()
    expect_layer(ctx, "a", bytes(model))


def _write(upload: LayerUpload, model: bytearray, at: int, data: bytes) -> None:
    upload.seek(at)
    assert upload.write(data) == len(data), "not all was written"
    model[:] = bytes(model).ljust(at, b"\0")
    model[at : at + len(data)] = data

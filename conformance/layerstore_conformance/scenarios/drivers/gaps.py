"""Gaps and overlaps: a write anywhere, relative to an end that was flushed, is not, or was given up."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import FencedError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.steps.points import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def _deleted(ctx: Context, data: bytes, stale: int) -> None:
    ctx.driver.put("key", bulk("stale", stale))
    ctx.driver.delete("key")
    ctx.driver.put("key", data) if data else None


def _put_over(ctx: Context, data: bytes, stale: int) -> None:
    ctx.driver.put("key", bulk("stale", stale))
    ctx.driver.put("key", data)


def _moved_over(ctx: Context, data: bytes, stale: int) -> None:
    ctx.driver.put("key", bulk("stale", stale))
    ctx.driver.put("source", data)
    ctx.driver.move("source", "key")


def _discarded(ctx: Context, data: bytes, stale: int) -> None:
    _given_up(ctx, data, stale).discard()


def _fenced(ctx: Context, data: bytes, stale: int) -> None:
    writer = _given_up(ctx, data, stale)
    ctx.open().open_writer("key").discard()
    with suppress(FencedError):
        writer.write(bulk("stale", 100_000))
    writer.discard()


def _given_up(ctx: Context, data: bytes, stale: int) -> Writer:
    writer = ctx.driver.open_writer("key")
    writer.write(data)
    writer.flush()
    writer.write(bulk("stale", stale - len(data)))
    return writer


def _little_by_little(ctx: Context, data: bytes, stale: int) -> None:
    """Append and flush in turn, and then append a little that is discarded: it lies in room that was reserved."""
    del stale
    writer = ctx.driver.open_writer("key")
    for start in range(0, len(data), max(1, len(data) // 5)):
        writer.write(data[start : start + max(1, len(data) // 5)])
        writer.flush()
    writer.flush()
    for size in (1, 60, 400):
        writer.write(bulk("stale", size))
    writer.discard()


BEFORE: dict[str, Callable[[Context, bytes, int], None]] = {
    "a longer object deleted": _deleted,
    "a longer object put over": _put_over,
    "a longer object moved over": _moved_over,
    "an append discarded": _discarded,
    "an append fenced": _fenced,
    "small appends flushed, and some discarded": _little_by_little,
}

ENDS = Axis("end", {"none": 0, "700": 700, "4 KiB": 4 * KIB, "1 MiB": MIB, "1 MiB + 700": MIB + 700})

GAPS = Axis(
    "gap",
    {
        "1": 1,
        "500": 500,
        "4 KiB": 4 * KIB,
        "64 KiB + 1": 64 * KIB + 1,
        "1 MiB": MIB,
        "to a whole MiB": -MIB,
        "4 MiB": 4 * MIB,
        "5 MiB + 7": 5 * MIB + 7,
    },
)


@scenario(
    *("W4", "W7"),
    kills=("gap-keeps-whole-blocks", "gap-beyond-a-size-is-stale", "spare-room-shows", "gap-closed"),
    rows=(64, 161),
    axes=(Axis("before", BEFORE), ENDS, GAPS),
)
def a_gap_of_any_size_is_zeros_whatever_lay_there(
    ctx: Context, before: Callable[[Context, bytes, int], None], end: int, gap: int
) -> None:
    """A gap of any size after any end is zeros, whatever had been stored or given up there.

    Whole blocks of a gap need no write, where nothing lies: a driver that leaves them out shows old bytes where
    something does.
    """
    data, new = bulk("kept", end, ctx.seed), bulk("new", 900, ctx.seed)
    start = end + gap if gap > 0 else (end // -gap + 2) * -gap
    before(ctx, data, start + 5000)
    with ctx.open().open_writer("key") as writer:
        assert writer.size == end, f"a writer of {writer.size} bytes instead of {end}"
        writer.seek(start)
        writer.write(new)
    ctx.expect("key", data.ljust(start, b"\0") + new)


LENGTHS = Axis("length", {"1": 1, "700": 700, "4 KiB": 4 * KIB, "1 MiB": MIB, "1 MiB + 5": MIB + 5, "5 MiB": 5 * MIB})

STARTS = Axis(
    "start",
    {
        "0": ("begin", 0),
        "1": ("begin", 1),
        "4 KiB - 1": ("begin", 4 * KIB - 1),
        "4 KiB": ("begin", 4 * KIB),
        "1 MiB - 1": ("begin", MIB - 1),
        "1 MiB": ("begin", MIB),
        "the end - 4 KiB": ("end", -4 * KIB),
        "the end - 100": ("end", -100),
        "the end - 1": ("end", -1),
        "the end": ("end", 0),
    },
)

OBJECTS = Axis(
    "size", {"8 KiB": 8 * KIB, "10,001": 10_001, "2 MiB": 2 * MIB, "2 MiB + 4 KiB": 2 * MIB + 4 * KIB, "5 MiB": 5 * MIB}
)

CONTENT = Axis("content", {"other bytes": "other bytes", "zeros": "zeros"})
BEFOREHAND = Axis("beforehand", {"flushed": "flushed", "written": "written"})


@scenario(
    *("W5", "W3", "W6"),
    kills=("zeros-over-data-skipped", "straddling-write-cut", "overwriting-stops-at-the-end", "large-offset-rounded"),
    rows=(68,),
    axes=(OBJECTS, STARTS, LENGTHS, CONTENT, BEFOREHAND),
)
def a_write_anywhere_replaces_just_its_range(
    ctx: Context,
    size: int,
    start: tuple[str, int],
    length: int,
    content: str,
    beforehand: str,
) -> None:
    """A write of any length at any place replaces its range, grows the object if it goes beyond, and leaves the rest.

    Zeros are bytes like others: they are written, too.
    """
    data, at = bulk("kept", size, ctx.seed), max(0, start[1] + (size if start[0] == "end" else 0))
    new = bytes(length) if content == "zeros" else bulk("new", length, ctx.seed)
    writer = ctx.driver.open_writer("key")
    writer.write(data)
    if beforehand == "flushed":
        writer.flush()
    writer.seek(at)
    writer.write(new)
    assert writer.size == max(size, at + length), f"size {writer.size} instead of {max(size, at + length)}"
    before = writer.version
    writer.close()
    ctx.expect("key", data[:at].ljust(at, b"\0") + new + data[at + length :])
    assert before != ctx.open().stat("key").version, "other bytes at the same version"


BLOCKS = Axis("block", {"4 KiB": 4 * KIB, "64 KiB": 64 * KIB, "1 MiB": MIB, "4 MiB": 4 * MIB})
WRITTEN_BEFORE = Axis(
    "before",
    {
        f"{first}, {flushed} flushed": (size, number)
        for first, size in (("two bytes", 0.0), ("a block", 1.0), ("more than a block", 1.5))
        for number, flushed in enumerate(("neither is", "the first write", "the second write"))
    },
)
"""How much is written first, in blocks, and after which write the writer is flushed."""


@scenario(
    *("W5", "W2", "W6"),
    kills=("block-just-written-stays",),
    rows=(68,),
    axes=(BLOCKS, WRITTEN_BEFORE),
)
def a_block_that_was_written_over_is_written_over_again(ctx: Context, block: int, before: tuple[float, int]) -> None:
    """A whole block that replaces a part of one is written to in turn, in its middle, at its ends and across them.

    A block that is kept as it was given, and not copied, must not be taken for one that may be changed.
    """
    first, flushed = before
    old, new = bulk("old", int(first * block) or 2, ctx.seed), bulk("new", 2 * block, ctx.seed)
    model = bytearray(old.ljust(block, b"\0")[:block] + new[block:])
    with ctx.driver.open_writer("key") as writer:
        for number, (at, data) in enumerate(((0, old), (block, new[block:]), (0, new[:block])), 1):
            writer.seek(at)
            writer.write(data)
            model[at : at + len(data)] = data
            if number == flushed:
                writer.flush()
        for at in (block // 2, 0, block - 5, 2 * block - 5, block):
            writer.seek(at)
            writer.write(b"again")
            model[at : at + 5] = b"again"
    ctx.expect("key", bytes(model))


HOLES = Axis("hole", {"5,000": 5000, "300 KiB": 300 * KIB, "3 MiB + 1": 3 * MIB + 1})
FILLED = Axis(
    "filled", {"a byte": (0.4, 0.0), "its first half": (0.0, 0.5), "its middle": (0.2, 0.6), "all": (0.0, 1.0)}
)
"""Where a write into a gap begins, and how much it fills, in parts of the gap."""


@scenario("W6", "W7", "R4", kills=("gap-writes-visible-at-once",), rows=(145,), axes=(HOLES, FILLED))
def what_is_written_into_a_gap_is_unseen_until_its_flush(ctx: Context, hole: int, filled: tuple[float, float]) -> None:
    """What a writer has put into a published gap is seen from its flush on, and not at all after a discard.

    Where a gap lies, nothing is stored: a driver that looks for the newest bytes there finds those of the writer.
    """
    end = bulk("end", 1000)
    with ctx.driver.open_writer("key") as writer:
        writer.write(end)
        writer.seek(1000 + hole)
        writer.write(end)
    before = end + bytes(hole) + end
    start, size = 1000 + int(hole * filled[0]), max(1, int(hole * filled[1]))
    after = before[:start] + bulk("fill", size) + before[start + size :]
    for flushed in (False, True):
        reader = ctx.open().open_reader("key")
        writer = ctx.driver.open_writer("key")
        writer.seek(start)
        writer.write(bulk("fill", size))
        ctx.same(reader.read(), before, "by a reader of before")
        ctx.expect("key", before)
        writer.close() if flushed else writer.discard()
        ctx.expect("key", after if flushed else before)

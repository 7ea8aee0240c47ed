"""Beyond 31 and 32 bits: sizes and offsets of GiB, in objects that are holes but for a few bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import InvalidOffsetError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.driver import Reader
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

FAR = Axis(
    "end",
    {
        "20 MiB": 20 * MIB,
        "32 MiB": 32 * MIB,
        "64 MiB + 1": 64 * MIB + 1,
        "128 MiB": 128 * MIB,
        "256 MiB + 5": 256 * MIB + 5,
        "512 MiB": 512 * MIB,
        "1 GiB + 4 KiB": (1 << 30) + 4096,
        "2^31 - 1": 2**31 - 1,
        "2^31": 2**31,
        "2^31 + 700": 2**31 + 700,
        "2^32 - 1": 2**32 - 1,
        "2^32": 2**32,
        "2^32 + 1 MiB": 2**32 + MIB,
        "5 GiB + 3": (5 << 30) + 3,
        "2^33": 2**33,
    },
)
"""Bytes. Nothing that was published is written over: for that a driver may copy an object, with its holes."""


def _at(ctx: Context, reader: Reader, offset: int, wanted: bytes) -> None:
    reader.seek(offset)
    ctx.same(reader.read(len(wanted)), wanted, f"{len(wanted)} bytes from {offset} of {reader.size}")


@scenario(
    *("W4", "W5", "R1", "R2", "R5", "S1", "M1"),
    kills=("stat-size-truncated", "read-offset-truncated", "write-offset-truncated", "reader-size-truncated"),
    rows=(33, 41, 64),
    needs=("holes",),
    axes=(FAR,),
)
def sizes_and_offsets_have_all_their_bits(ctx: Context, end: int) -> None:
    """Beyond 2 GiB, and 4 GiB, an object is written, read, moved and told the size of like any other.

    An offset that is cut to 32 bits lands at the beginning of the layer.
    """
    head, tail, more = (ctx.payload(label).read(3000) for label in ("head", "tail", "more"))
    with ctx.driver.open_writer("far") as writer:
        writer.write(head)
        writer.seek(end)
        writer.write(tail)
        assert (writer.size, writer.tell()) == (end + 3000, end + 3000), f"size {writer.size}, at {writer.tell()}"
        writer.seek(end - 1000)
        writer.write(more)
    model = {0: head, end - 2000: bytes(1000) + more[:2000], end: more[1000:] + tail[2000:], 3000: bytes(3000)}
    ctx.open().move("far", "key")
    size = ctx.open().stat("key").size
    assert size == end + 3000, f"size {size} instead of {end + 3000}"
    with ctx.open().open_reader("key", end) as reader:
        assert (reader.size, reader.tell()) == (size, end), f"at {reader.tell()} of {reader.size} instead of {size}"
        ctx.same(reader.read(), model[end], f"from {end} to the end")
        for offset, wanted in model.items():
            _at(ctx, reader, offset, wanted)
    with ctx.open().open_reader("key", size) as reader:
        ctx.same(reader.read(10), b"", "at the end")
    with refused(InvalidOffsetError):
        ctx.open().open_reader("key", size + 1)


@scenario(
    *("W1", "W4", "W7", "F1"),
    kills=("reopened-size-truncated", "write-offset-truncated"),
    rows=(56, 64),
    needs=("holes",),
    axes=(FAR,),
)
def a_writer_goes_on_at_an_end_of_any_size(ctx: Context, end: int) -> None:
    """A writer of an object of GiB begins at its end, appends there, and gives up what it discards."""
    with ctx.driver.open_writer("key") as writer:
        writer.seek(end - 3)
        writer.write(b"end")
        writer.seek(5)
        writer.write(b"five")
    lost = ctx.open().open_writer("key")
    lost.write(b"lost")
    lost.discard()
    with ctx.open().open_writer("key") as writer:
        assert (writer.size, writer.tell()) == (end, end), f"size {writer.size}, at {writer.tell()} instead of {end}"
        writer.write(b"more")
    with ctx.open().open_reader("key") as reader:
        for offset, wanted in ((end - 5, b"\0\0endmore"), (0, b"\0\0\0\0\0five\0\0\0"), (end // 2 + 20, bytes(100))):
            _at(ctx, reader, offset, wanted)
    assert ctx.open().stat("key").size == end + 4, f"size {ctx.open().stat('key').size} instead of {end + 4}"

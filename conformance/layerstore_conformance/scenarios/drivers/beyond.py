"""Beyond 31 and 32 bits: sizes and offsets of GiB, in objects that are holes but for a few bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import InvalidOffsetError, NoSpaceError
from layerstore.handles import LARGEST
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.driver import Reader, Writer
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

FARTHEST = Axis(
    "end",
    {
        "2^44": 2**44,
        "2^53 - 1": 2**53 - 1,
        "2^53": 2**53,
        "2^53 + 1": 2**53 + 1,
        "2^54 - 1": 2**54 - 1,
        "2^60 - 5": 2**60 - 5,
        "2^62": 2**62,
        "2^63 - 2 MiB": 2**63 - 2 * MIB,
        "2^63 - 1 - 3000": LARGEST - 3000,
    },
)
"""Bytes. Beyond 2^53 a floating-point number has no longer every whole one."""


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


def _publish_far(writer: Writer, end: int, tail: bytes, more: bytes) -> bool:
    """Write around an end, and publish; return False if the backend has no place for that."""
    size, parts = writer.size, ((end, tail), (end - 1000, more))
    for offset, data in parts:
        try:
            writer.seek(offset)
            writer.write(data)
        except NoSpaceError:
            assert writer.size == size, f"refused at {offset}, and the size is {writer.size} instead of {size}"
            return False
        size = end + len(tail)
    try:
        writer.flush()
    except NoSpaceError:
        return False
    return True


@scenario(
    *("W2", "W4", "W5", "R1", "R5", "S1", "M1"),
    kills=("write-offset-by-float", "read-offset-by-float", "stat-size-by-float"),
    rows=(33, 41, 64),
    needs=("holes",),
    axes=(FARTHEST,),
)
def a_number_of_any_size_is_exact_or_refused(ctx: Context, end: int) -> None:
    """Up to the largest object there may be, each byte is at its place, or there is no space and nothing has changed.

    An offset that was a floating-point number for a moment is a few bytes off.
    """
    head, tail, more = (ctx.payload(label).read(size) for label, size in (("head", 700), ("tail", 3000), ("more", 990)))
    ctx.driver.put("far", head)
    before = ctx.open().stat("far")
    with ctx.handles():
        writer = ctx.open().open_writer("far")
        published = _publish_far(writer, end, tail, more)
        writer.discard()
    if not published:
        ctx.step(f"no space for {end} bytes")
        assert ctx.open().stat("far") == before, "refused, and the object changed"
        _append_and_expect(ctx, head)
        return
    ctx.open().move("far", "key")
    size = ctx.open().stat("key").size
    assert size == end + 3000, f"size {size} instead of {end + 3000}"
    with ctx.open().open_reader("key", end - 1000) as reader:
        assert (reader.size, reader.tell()) == (size, end - 1000), f"at {reader.tell()} of {reader.size}"
        ctx.same(reader.read(), more + bytes(10) + tail, f"from {end - 1000} to the end")
        _at(ctx, reader, 0, head + bytes(3000))
        for power in range(12, end.bit_length()):
            middle = min(1 << power, end - 5000)
            _at(ctx, reader, middle, bytes(1000))
    _go_on_at_the_end(ctx, size)


def _append_and_expect(ctx: Context, head: bytes) -> None:
    with ctx.open().open_writer("far") as writer:
        writer.write(b"more")
    ctx.expect("far", head + b"more")


def _go_on_at_the_end(ctx: Context, size: int) -> None:
    """Append, if an object may be that large, and look at what was there before, and what was added."""
    with ctx.open().open_writer("key") as writer:
        assert (writer.size, writer.tell()) == (size, size), f"size {writer.size}, at {writer.tell()} instead of {size}"
        if size == LARGEST:
            with refused(NoSpaceError):
                writer.write(b"more")
        else:
            writer.write(b"more")
    more = b"" if size == LARGEST else b"more"
    found = ctx.open().stat("key").size
    assert found == size + len(more), f"size {found} instead of {size + len(more)}"
    with ctx.open().open_reader("key", size - 3000) as reader:
        ctx.same(reader.read(), ctx.payload("tail").read(3000) + more, "the end, after more was written")

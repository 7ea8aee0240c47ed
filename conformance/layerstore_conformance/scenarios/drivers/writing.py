"""Writing: at any offset of a new or existing object, from buffers of any kind and size."""

from __future__ import annotations

import array
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import FencedError, PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import done, refused

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

LARGE = (9 << 20) + 5
"""Bytes: beyond the 4 and 8 MiB at which SDKs begin to cut objects into parts."""

CHUNKS = (0, 1, 511, 512, 513, 4095, 4096, 4097, 65535, 1, 0, 7)
"""Sizes around the borders of blocks, pages and buffers."""


@scenario("W1", "E4", kills=("opening-creates", "new-object-has-a-version"), rows=(61,))
def opening_creates_nothing(ctx: Context) -> None:
    """A writer of a new object begins with no bytes and no version, and leaves no trace if it is never flushed."""
    writer = ctx.driver.open_writer("new/key")
    assert (writer.size, writer.tell()) == (0, 0), f"size {writer.size}, at {writer.tell()}, instead of 0"
    assert writer.version is None, f"version {writer.version!r} of an object that is not there"
    assert ctx.stored() == [], "the object was there before the first flush"
    writer.discard()
    assert ctx.stored() == [], "the object was there after the discard"
    with refused(PathNotFoundError):
        ctx.open().stat("new/key")


@scenario(
    "W1", "S2", kills=("writer-begins-at-the-start", "opening-makes-a-version", "reopened-size-lags"), rows=(56, 57)
)
def opening_changes_nothing(ctx: Context) -> None:
    """A writer of an object begins at its end, knows its size and version, and its opening changes nothing."""
    data = ctx.payload("before").read(5001)
    ctx.driver.put("key", data)
    before = ctx.open().stat("key")
    writer = ctx.driver.open_writer("key")
    assert (writer.size, writer.tell()) == (5001, 5001), f"size {writer.size}, at {writer.tell()}, instead of 5001"
    assert writer.version == before.version, f"version {writer.version!r} instead of {before.version!r}"
    assert ctx.open().stat("key") == before, "the object changed when a writer was opened"
    writer.discard()
    assert ctx.open().stat("key") == before, "the object changed when the writer was discarded"
    ctx.expect("key", data)


@scenario(
    "W1",
    "W3",
    "W6",
    kills=("writer-begins-at-the-start", "writes-applied-twice", "closing-a-writer-discards"),
    rows=(55, 56, 57),
)
def appending_goes_on_where_it_ended(ctx: Context) -> None:
    """Writers that follow each other, each by its own handle, append pieces of any size.

    An upload is resumed like this: a chunk that lands anywhere else destroys the layer.
    """
    data, at = ctx.payload("append").read(sum(CHUNKS)), 0
    for size in CHUNKS:
        with ctx.open().open_writer("key") as writer:
            assert writer.size == writer.tell() == at, f"at {writer.tell()} of {writer.size} instead of {at}"
            writer.write(data[at : at + size])
        at += size
        ctx.expect("key", data[:at])


@scenario("W2", "W6", kills=("writes-cut-at-a-mebibyte", "tail-dropped"), rows=(32, 33, 66))
def a_large_write_is_accepted_whole(ctx: Context) -> None:
    """One write beyond the size of every buffer and part is accepted to its last byte."""
    data = ctx.payload("large").read(LARGE)
    with ctx.driver.open_writer("key") as writer:
        assert writer.write(data[:1001]) == 1001
        assert writer.write(data[1001:]) == LARGE - 1001
        assert writer.size == LARGE, f"size {writer.size} instead of {LARGE}"
    ctx.expect("key", data)


@scenario("W3", "W1", kills=("size-not-grown",), rows=(57,))
def size_grows_with_every_write(ctx: Context) -> None:
    """``size`` and position count every accepted byte at once, before anything is flushed."""
    writer, at = ctx.driver.open_writer("key"), 0
    for size in CHUNKS:
        assert writer.write(ctx.payload("grow").read(size, at)) == size
        at += size
        assert (writer.size, writer.tell()) == (at, at), f"size {writer.size}, at {writer.tell()}, instead of {at}"
    writer.seek(10)
    writer.write(b"no growth")
    assert (writer.size, writer.tell()) == (at, 19), f"size {writer.size}, at {writer.tell()}"
    writer.discard()


@scenario("W2", "W3", kills=("size-grown-by-a-refused-write",), rows=(59,))
def a_refused_write_changes_nothing(ctx: Context) -> None:
    """A write that is refused for its buffer leaves size, position and bytes as they were."""
    data = ctx.payload("refused").read(1200)
    with ctx.driver.open_writer("key") as writer:
        writer.write(data[:600])
        with refused(TypeError, ValueError, BufferError):
            writer.write(memoryview(data)[::2])
        assert (writer.size, writer.tell()) == (600, 600), f"size {writer.size}, at {writer.tell()}, instead of 600"
        writer.write(data[600:])
    ctx.expect("key", data)


@scenario("W4", kills=("gap-holds-garbage", "gap-closed"), rows=(64,))
def a_gap_is_filled_with_zeros(ctx: Context) -> None:
    """The gap between the old end and a write beyond it is filled with zeros, in a new object or an old one."""
    data = ctx.payload("gap").read(6000)
    for begin, start in ((0, 700), (600, 601), (600, 5000), (513, 70_000), (5, LARGE)):
        ctx.driver.put("key", data[:begin])
        with ctx.open().open_writer("key") as writer:
            writer.seek(start)
            writer.write(data[:900])
            assert writer.size == start + 900, f"size {writer.size} instead of {start + 900}"
        ctx.expect("key", data[:begin] + bytes(start - begin) + data[:900])


@scenario("W4", "W7", kills=("discarded-bytes-fill-the-gap",), rows=(161,))
def a_gap_holds_nothing_of_what_was_discarded(ctx: Context) -> None:
    """A gap is zeros even where a writer that was discarded or fenced had written other bytes.

    Bytes that show there may be of somebody else's layer.
    """
    data = ctx.payload("flushed").read(600)
    ctx.driver.put("key", data)
    discarded = ctx.driver.open_writer("key")
    discarded.write(data)
    discarded.flush()  # so that its next bytes may lie right behind its own flushed ones
    discarded.write(ctx.payload("discarded").read(5000))
    discarded.discard()
    with ctx.open().open_writer("key") as writer:
        writer.seek(1300)
        writer.write(data[:100])
    fenced = ctx.driver.open_writer("key")
    fenced.write(ctx.payload("fenced").read(5000))
    with ctx.open().open_writer("key") as writer:
        with suppress(FencedError):
            fenced.write(ctx.payload("late").read(5000))
        writer.seek(4000)
        writer.write(data)
    fenced.discard()
    ctx.expect("key", (data + data + bytes(100) + data[:100]).ljust(4000, b"\0") + data)


@scenario(
    "W2", "W4", kills=("size-grown-by-a-refused-write", "failed-bytes-fill-the-gap"), rows=(64, 162), needs=("cut",)
)
def a_write_that_was_cut_off_leaves_nothing(ctx: Context) -> None:
    """A write over a broken connection is accepted whole, or raises and leaves size and position; a gap there is zeros.

    Bytes that arrived before the break must not appear later as part of a layer.
    """
    data, cut = ctx.payload("kept").read(600), ctx.payload("cut").read(5000)
    writer = ctx.driver.open_writer("key")
    writer.write(data)
    ctx.cut()
    if not done(lambda: writer.write(cut)):
        assert (writer.size, writer.tell()) == (600, 600), f"size {writer.size}, at {writer.tell()}, instead of 600"
        cut = b""
    writer.seek(9000)
    if done(lambda: writer.write(data)) and done(writer.flush):
        ctx.expect("key", (data + cut).ljust(9000, b"\0") + data)
    else:
        assert ctx.stored() == [], "a flush that failed made an object"
    writer.discard()


@scenario("W3", "W4", kills=("empty-write-grows",), rows=(52,))
def a_write_of_nothing_changes_nothing(ctx: Context) -> None:
    """A write of no bytes fills no gap and adds no byte, at any position."""
    data = ctx.payload("nothing").read(600)
    with ctx.driver.open_writer("key") as writer:
        writer.write(data)
        writer.seek(5000)
        assert (writer.write(b""), writer.size) == (0, 600), f"size {writer.size} instead of 600"
    ctx.expect("key", data)


@scenario("W5", kills=("writes-always-append", "rewriting-cuts-the-rest", "offset-rounded-down"), rows=(64, 68))
def a_write_before_the_end_replaces_in_place(ctx: Context) -> None:
    """A write in the middle replaces as many bytes as it has, in place, and leaves the rest."""
    data, new = ctx.payload("old").read(20_000), ctx.payload("new")
    for start, size in ((0, 1), (511, 2), (4096, 4096), (9999, 513), (0, 20_000), (19_999, 1)):
        ctx.driver.put("key", data)
        with ctx.open().open_writer("key") as writer:
            writer.seek(start)
            writer.write(new.read(size))
            assert writer.size == 20_000, f"size {writer.size} instead of 20000"
        ctx.expect("key", data[:start] + new.read(size) + data[start + size :])


@scenario("W5", "W6", kills=("rewriting-cuts-the-rest", "offset-rounded-down"), rows=(33, 68))
def a_write_into_a_large_object_replaces_in_place(ctx: Context) -> None:
    """A write across two parts of a large object replaces those bytes and leaves all others."""
    model, new = bytearray(ctx.payload("old").read(LARGE)), ctx.payload("new")
    ctx.driver.put("key", bytes(model))
    for start, size in ((1, 1), ((1 << 20) - 2, 4), ((4 << 20) - 5, (1 << 20) + 11), ((8 << 20) + 700, 1 << 20)):
        with ctx.open().open_writer("key") as writer:
            writer.seek(start)
            writer.write(new.read(size))
        model[start : start + size] = new.read(size)
        ctx.expect("key", bytes(model))


@scenario("W5", "W3", kills=("writes-always-append", "overwriting-stops-at-the-end"), rows=(68,))
def a_write_over_the_end_replaces_and_grows(ctx: Context) -> None:
    """A write that begins before the end and goes beyond it replaces one part and appends the other."""
    data, new = ctx.payload("old").read(3000), ctx.payload("new").read(2000)
    with ctx.driver.open_writer("key") as writer:
        writer.write(data)
        writer.flush()
        writer.seek(2500)
        writer.write(new)
        assert writer.size == 4500, f"size {writer.size} instead of 4500"
    ctx.expect("key", data[:2500] + new)


@scenario("W9", kills=("buffer-kept",), rows=(67,))
def a_buffer_is_the_callers_again_after_the_write(ctx: Context) -> None:
    """The caller may fill a buffer anew as soon as ``write`` has returned, as every copying loop does."""
    data = ctx.payload("buffer").read(8000)
    buffer = bytearray(1000)
    with ctx.driver.open_writer("key") as writer:
        for start in range(0, 8000, 1000):
            buffer[:] = data[start : start + 1000]
            writer.write(buffer)
        buffer[:] = bytes(1000)
        writer.flush()
        buffer.extend(b"grows: nobody holds a view on it")
    ctx.expect("key", data)
    large = bytearray(ctx.payload("large").read(LARGE))
    with ctx.driver.open_writer("large") as writer:
        writer.write(large)
        large[:] = bytes(LARGE)
        large.clear()
    ctx.expect("large", ctx.payload("large").read(LARGE))


@scenario("W2", "W9", kills=("items-counted",), rows=(58, 59))
def a_writer_takes_buffers_of_any_kind(ctx: Context) -> None:
    """Bytes, bytearrays, slices of views and arrays of larger items are written byte for byte."""
    data = ctx.payload("kinds").read(4000)
    kinds: tuple[Buffer, ...] = (
        data[:1000],
        bytearray(data[1000:2000]),
        memoryview(data)[2000:3000],
        array.array("I", data[3000:]),
    )
    with ctx.driver.open_writer("key") as writer:
        for number, buffer in enumerate(kinds):
            assert writer.write(buffer) == 1000, f"{type(buffer).__name__}: not all of 1000 bytes"
            assert writer.tell() == 1000 * (number + 1), f"at {writer.tell()} after {type(buffer).__name__}"
    ctx.expect("key", data)


@scenario("W2", "W3", kills=("writes-applied-twice", "every-hundredth-write-lost"), rows=(58,))
def many_small_writes_are_one_large_one(ctx: Context) -> None:
    """Many small writes make the same object as one large write."""
    sizes = [1 + number % 7 for number in range(500)]
    data = ctx.payload("small").read(sum(sizes))
    with ctx.driver.open_writer("key") as writer:
        for size in sizes:
            writer.write(data[writer.tell() : writer.tell() + size])
    ctx.expect("key", data)


@scenario(
    "W2",
    "W4",
    "W5",
    "W6",
    "W7",
    kills=(
        "writes-always-append",
        "gap-closed",
        "discard-publishes",
        "writer-begins-at-the-start",
        "flush-does-nothing",
    ),
    rows=(50, 68),
)
def random_writes_agree_with_a_model(ctx: Context) -> None:
    """Random writes, flushes, reopenings and discards leave the same bytes in an object as in a bytearray."""
    flushed, payload, choose = bytearray(), ctx.payload("model"), ctx.random
    for round_ in range(10 + ctx.size(15)):
        model = bytearray(flushed)
        writer = ctx.driver.open_writer("key")
        assert (writer.size, writer.tell()) == (len(model), len(model)), f"round {round_}: not at the end"
        for step in range(choose.randrange(1, 5)):
            if step or choose.random() < 0.5:
                writer.seek(choose.randrange(len(model) + 2000))
            at, data = writer.tell(), payload.read(choose.randrange(1, 3000), 3000 * choose.randrange(1000))
            writer.write(data)
            model[:] = model.ljust(at, b"\0")
            model[at : at + len(data)] = data
            if choose.random() < 0.3:
                writer.flush()
                flushed = bytearray(model)
        keep = round_ % 3 < 2
        (writer.close if keep else writer.discard)()
        flushed = model if keep else flushed
        ctx.same(ctx.read("key"), bytes(flushed), f"round {round_}")

"""Flushing: what was written is visible from the flush on, and nothing of it before, or without one."""

from __future__ import annotations

import gc
from asyncio import CancelledError
from typing import TYPE_CHECKING

from layerstore import DriverError, FencedError, LayerClosedError, UnsupportedOperationError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import done, refused
from layerstore_conformance.processes.elsewhere import Elsewhere, write

if TYPE_CHECKING:
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"
IDS = "writing"


@scenario(
    "W6", "L5", "S1", kills=("writes-visible-at-once", "unpublished-listed", "stat-counts-unflushed"), rows=(88, 145)
)
def nothing_is_visible_before_the_flush(ctx: Context) -> None:
    """Before a flush no read, ``stat`` or listing shows the written bytes, appended or written over."""
    data = ctx.payload("old").read(5000)
    ctx.driver.put("old", data)
    before = ctx.open().stat("old")
    over, new = ctx.driver.open_writer("old"), ctx.driver.open_writer("new")
    for writer in (over, new):
        writer.seek(100)
        writer.write(ctx.payload("hidden").read(6000))
    assert ctx.open().stat("old") == before, "an unflushed write shows in stat"
    assert ctx.stored() == ["old"], "an object that was never flushed is listed"
    ctx.expect("old", data)
    over.discard()
    new.discard()


@scenario("W6", kills=("flush-does-nothing", "flush-returns-another-version", "writes-applied-twice"), rows=(57, 105))
def a_flush_publishes_everything_written(ctx: Context) -> None:
    """After a flush another handle reads every byte written so far, under the version that the writer then has."""
    data = ctx.payload("flush").read(6000)
    writer = ctx.driver.open_writer("key")
    for end in (1, 600, 5999, 6000):
        writer.write(data[writer.tell() : end])
        writer.flush()
        ctx.expect("key", data[:end])
        assert writer.version == ctx.open().stat("key").version, "the writer's version is not the visible one"
    model = bytearray(data)
    for start in (700, 100, 7000, 5999, 70_000, 5):
        writer.seek(start)
        writer.write(data[:700])
        model[:] = model.ljust(start, b"\0")
        model[start : start + 700] = data[:700]
        writer.flush()
        ctx.expect("key", bytes(model))
    writer.close()
    ctx.expect("key", bytes(model))


@scenario("W6", "P3", kills=("empty-object-not-created",), rows=(52, 55, 65))
def the_first_flush_creates_an_empty_object(ctx: Context) -> None:
    """A flush of a writer without a byte makes an object of no bytes, which can be written to later."""
    ctx.driver.open_writer("empty").close()
    assert ctx.stored() == ["empty"], "a flush of no bytes created nothing"
    ctx.expect("empty", b"")
    with ctx.open().open_writer("empty") as writer:
        writer.write(ctx.payload("later").read(600))
    ctx.expect("empty", ctx.payload("later").read(600))


@scenario("W6", "S2", kills=("every-flush-makes-a-version", "empty-flush-empties"), rows=(74,))
def a_flush_of_nothing_new_keeps_the_version(ctx: Context) -> None:
    """A flush with nothing to publish changes neither bytes nor version, right after opening or after a flush."""
    data = ctx.payload("same").read(3000)
    ctx.driver.put("key", data)
    before = ctx.open().stat("key").version
    with ctx.driver.open_writer("key") as writer:
        writer.flush()
        ctx.expect("key", data)
        assert writer.version == ctx.open().stat("key").version == before, "a flush of nothing made a version"
        writer.write(data)
        writer.flush()
        flushed = writer.version
        writer.flush()
    assert flushed == ctx.open().stat("key").version, "a second flush made a version"
    ctx.expect("key", data + data)


@scenario("W6", "S1", "S2", kills=("flush-of-nothing-is-a-change", "every-flush-makes-a-version"), rows=(73, 74))
def a_flush_of_nothing_new_keeps_the_whole_stat(ctx: Context) -> None:
    """A flush, a close or an end with nothing to publish keeps size, version and time, of an empty object, too.

    If the time went on, an upload that nobody writes to would never be purged.
    """
    for key, data in (("d/full", ctx.payload("same").read(3000)), ("d/empty", b"")):
        ctx.driver.put(key, data)
        for written in (False, True):
            if written:
                with ctx.driver.open_writer(key) as writer:
                    writer.write(data)
            before = ctx.open().stat(key)
            writer = ctx.open().open_writer(key)
            for _ in range(2):
                writer.flush()
                assert ctx.open().stat(key) == before, f"a flush made {ctx.open().stat(key)} of {before}"
            writer.write(b"")
            writer.close()
            ctx.open().open_writer(key).discard()
            assert ctx.open().stat(key) == before, f"a close made {ctx.open().stat(key)} of {before}"
            ctx.expect(key, data * (1 + written))


@scenario("W7", kills=("discard-publishes", "discarded-bytes-in-the-next-writer"), rows=(149, 161))
def what_was_discarded_never_appears(ctx: Context) -> None:
    """After a discard no byte written since the last flush appears: in a read, a ``stat`` or the next writer."""
    data = ctx.payload("flushed").read(3000)
    writer = ctx.driver.open_writer("key")
    writer.write(data)
    writer.flush()
    before = ctx.open().stat("key")
    writer.write(ctx.payload("appended").read(2000))
    writer.seek(500)
    writer.write(ctx.payload("over").read(700))
    writer.discard()
    ctx.expect("key", data)
    assert ctx.open().stat("key") == before, f"{before} became {ctx.open().stat('key')}"
    with ctx.open().open_writer("key") as following:
        assert following.size == 3000, f"the next writer begins with {following.size} bytes instead of 3000"
        following.write(data[:10])
    ctx.expect("key", data + data[:10])


@scenario("W7", "L5", kills=("discard-publishes",), rows=(149, 161))
def a_discarded_new_object_never_appears(ctx: Context) -> None:
    """An object that was written and discarded before its first flush never appears."""
    writer = ctx.driver.open_writer("dir/key")
    writer.write(ctx.payload("discarded").read(5000))
    writer.discard()
    assert ctx.stored() == [], "a discarded object is listed"
    assert ctx.open().find("dir/key") is None, "a discarded object has a stat"
    with ctx.open().open_writer("dir/key") as following:
        assert (following.size, following.version) == (0, None), "the next writer finds something"
        following.discard()


@scenario("W7", "T4", kills=("dropped-writer-publishes",), rows=(161,))
def a_writer_let_go_of_publishes_nothing(ctx: Context) -> None:
    """A writer that is garbage-collected, after an error say, publishes nothing: half a chunk stays invisible."""
    data = ctx.payload("flushed").read(3000)
    for key in ("old", "over", "new"):
        writer = ctx.driver.open_writer(key)
        if key != "new":
            writer.write(data)
            writer.flush()
        writer.seek(500 if key == "over" else writer.size)
        writer.write(ctx.payload("dropped").read(5000))
        del writer
        gc.collect()
    assert ctx.stored() == ["old", "over"], "a new object is listed before its first flush"
    for key in ("old", "over"):
        ctx.expect(key, data)
        assert ctx.open().open_writer(key).size == 3000, "the next writer begins with dropped bytes"


RAISED: tuple[type[BaseException], ...] = (
    *(LookupError, OSError, DriverError, FencedError, LayerClosedError, AssertionError, MemoryError, StopIteration),
    *(CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit),
)
"""What a ``with`` block may end in: errors, and what ends a program, a task or a generator."""


@scenario("W7", kills=("error-in-a-block-publishes", "ctrl-c-in-a-with-block-publishes"), rows=(161, 162))
def an_error_in_a_with_block_discards(ctx: Context) -> None:
    """A ``with`` block that ends in an exception of any class publishes nothing that was written in it.

    Ctrl-C in the middle of a layer would otherwise make half of it visible.
    """
    data = ctx.payload("flushed").read(3000)
    ctx.driver.put("key", data)
    before = ctx.open().stat("key")
    for kind in RAISED:
        for key in ("key", "new"):
            ctx.step(f"{kind.__name__}, with a writer of {key}")
            caught = _raised_in_a_block(ctx.driver.open_writer(key), kind("the caller's own"))
            assert caught, "it was not passed on"
        assert ctx.open().stat("key") == before, f"{before} became {ctx.open().stat('key')}"
        assert ctx.stored() == ["key"], "a new object was made"
    ctx.expect("key", data)


def _raised_in_a_block(writer: Writer, raised: BaseException) -> bool:
    """Write and raise in a block, and return whether that very exception came out of it."""
    try:
        with writer:
            writer.write(b"half of what was to be written")
            raise raised
    except BaseException as caught:  # noqa: BLE001  (it is the scenario's own)
        assert writer.closed, "the writer is still open"
        return caught is raised


@scenario("W7", "C3", kills=("writes-visible-at-once",), rows=(161,), needs=("shared", "url"))
def a_killed_writer_leaves_what_it_flushed(ctx: Context) -> None:
    """When a process is killed, the bytes that it wrote since its last flush are gone, and in nobody's way.

    The next process appends where the last flush ended; any other bytes there would end up in the layer.
    """
    data, lost = ctx.payload("flushed").read(3000), ctx.payload("lost").read(5000)
    with Elsewhere(ctx) as there:
        there.hold(write, "key", [(0, data)], flush=True)
        there.hold(write, "key", [(3000, lost), (100, lost)], flush=False)
        there.hold(write, "new", [(0, lost)], flush=False)
        there.kill()
    assert ctx.stored() == ["key"], "a new object is listed before its first flush"
    ctx.expect("key", data)
    with ctx.driver.open_writer("key") as writer:
        assert writer.size == 3000, f"the next writer begins with {writer.size} bytes instead of 3000"
        writer.seek(4000)
        writer.write(data)
    ctx.expect("key", data + bytes(1000) + data)


@scenario("W6", "C3", "C4", kills=("publishes-behind",), rows=(161,), needs=("shared", "url"))
def a_flush_outlives_the_process(ctx: Context) -> None:
    """Flushed bytes are there though the process is killed right after the flush, with its writer open."""
    data = ctx.payload("flushed").read(70_000)
    with Elsewhere(ctx) as there:
        there.hold(write, "new", [(0, data)], flush=True)
        there.run(CheckedDriver.put, "old", data)
        there.hold(write, "old", [(500, data)], flush=True)
        there.kill()
    ctx.expect("new", data)
    ctx.expect("old", data[:500] + data)


@scenario("W8", kills=("failed-flush-loses-what-was-written",), rows=(162,), without=("nested_keys",))
def a_failed_flush_may_be_tried_again(ctx: Context) -> None:
    """When the cause of a failed flush is gone, the next flush publishes every accepted byte."""
    data = ctx.payload("kept").read(3000)
    writer = ctx.driver.open_writer("a")
    writer.write(data[:2000])
    ctx.driver.put("a/b", data)
    with refused(UnsupportedOperationError):
        writer.flush()
    ctx.driver.delete("a/b")
    writer.write(data[2000:])
    writer.close()
    ctx.expect("a", data)


@scenario("W8", "W2", kills=("failed-flush-loses-what-was-written",), rows=(162,), needs=("cut",))
def a_flush_that_was_cut_off_may_be_tried_again(ctx: Context) -> None:
    """After a flush that failed for a broken connection, the next one publishes every accepted byte, or raises."""
    data = ctx.payload("kept").read(3000)
    writer = ctx.driver.open_writer("key")
    writer.write(data[:1000])
    writer.flush()
    writer.write(data[1000:2000])
    ctx.cut()
    flushed = done(writer.flush) or done(writer.flush)
    ctx.expect("key", data[:2000] if flushed else data[:1000])
    if flushed:
        writer.write(data[2000:])
        writer.flush()
        ctx.expect("key", data)
    writer.discard()


@scenario("S2", "W7", "M4", kills=("put-stores-its-neighbours-anew",), rows=(74, 161), needs=("shared", "url"))
def who_comes_after_a_killed_writer_changes_no_version(ctx: Context) -> None:
    """When a writer was killed, and another process clears away what it left, the object keeps its version.

    Whoever saw the object before, and moves it or goes on from a saved state on that condition, is not refused.
    """
    sizes = (1, 1000, 300_000, 3 << 20)
    for size in sizes:
        ctx.driver.put(f"d/{size}", ctx.payload("before").read(1000))
    with Elsewhere(ctx) as there:
        for size in sizes:
            there.hold(write, f"d/{size}", [(1000, ctx.payload("killed").read(size))], flush=False)
        there.kill()
    before = {size: ctx.open().stat(f"d/{size}") for size in sizes}
    with Elsewhere(ctx) as another:
        another.run(CheckedDriver.put, "d/other", b"other")
        another.hold(write, "d/another", [(0, b"another")], flush=True)
        another.run(CheckedDriver.delete, "d/other")
    for size in sizes:
        ctx.step(f"{size} bytes were written by the one that was killed")
        assert ctx.open().stat(f"d/{size}") == before[size], "the object changed, and nobody had changed its bytes"
        ctx.driver.move(f"d/{size}", f"moved/{size}", version=before[size].version)
        ctx.expect(f"moved/{size}", ctx.payload("before").read(1000))

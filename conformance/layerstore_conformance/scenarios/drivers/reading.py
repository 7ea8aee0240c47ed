"""Reading: from any offset, in pieces of any size, all of one version of the object."""

from __future__ import annotations

import array
import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, InvalidOffsetError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.passing import PassingDriver, PassingReader
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver, Reader
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

LARGE = (9 << 20) + 5
"""Bytes: beyond the 4 and 8 MiB at which SDKs begin to cut objects into parts."""

PIECE = 1_000_003
"""Bytes: no divisor of a common read-ahead size, so that some reads cross its end."""


@scenario("R1", kills=("reader-ignores-its-offset",), rows=(34, 43, 49))
def a_reader_begins_at_its_offset(ctx: Context) -> None:
    """A reader opened at an offset reads from there to the end, and knows the object's size and version."""
    data = ctx.payload("offset").read(3000)
    ctx.driver.put("key", data)
    for offset in (0, 1, 511, 512, 513, 2048, 2999):
        with ctx.open().open_reader("key", offset) as reader:
            assert (reader.tell(), reader.size) == (offset, 3000), f"at {reader.tell()} of {reader.size} bytes"
            ctx.same(reader.read(), data[offset:], f"from byte {offset}")
            assert reader.version == ctx.open().stat("key").version


@scenario("R1", "R5", kills=("newlines-translated",), rows=(30, 31))
def every_byte_value_is_read_as_it_was_stored(ctx: Context) -> None:
    """All pairs of byte values come back: no line end, encoding or end-of-file character changes them."""
    data = b"".join(bytes((high, low)) for high in range(256) for low in range(256))
    ctx.driver.put("put", data)
    with ctx.driver.open_writer("written") as writer:
        writer.write(data)
    ctx.expect("put", data)
    ctx.expect("written", data)


@scenario("R2", kills=("reads-past-the-end", "end-refused"), rows=(38, 40, 52))
def the_end_reads_nothing(ctx: Context) -> None:
    """A reader opened at the offset of the end reads no bytes, and that is no error.

    A client that has every byte asks once more, to be sure.
    """
    for size in (0, 1, 3000):
        ctx.driver.put("key", ctx.payload("end").read(size))
        with ctx.open().open_reader("key", size) as reader:
            ctx.same(reader.read(), b"", f"at the end of {size} bytes")
        with ctx.open().open_reader("key") as reader:
            ctx.same(reader.read(size + 100), ctx.payload("end").read(size), "read at once")
            ctx.same(reader.read(1), b"", "one byte more")


@scenario("R2", kills=("offset-beyond-the-end-accepted",), rows=(12, 41))
def an_offset_beyond_the_end_is_refused(ctx: Context) -> None:
    """A reader cannot be opened beyond the end: such a caller believes in bytes that are not there."""
    for size in (0, 1, 3000):
        ctx.driver.put("key", ctx.payload("beyond").read(size))
        for offset in (size + 1, size + 5000):
            with refused(InvalidOffsetError):
                ctx.driver.open_reader("key", offset)


@scenario("R2", kills=("negative-offset-accepted",), rows=(12, 42))
def a_negative_offset_is_refused(ctx: Context) -> None:
    """A negative offset is refused; it does not count from the end."""
    ctx.driver.put("key", ctx.payload("negative").read(3000))
    for offset in (-1, -3000):
        with refused(InvalidOffsetError):
            ctx.driver.open_reader("key", offset)


@scenario("R3", "E1", kills=("missing-key-reads-empty", "missing-key-is-a-key-error"), rows=(10,))
def a_missing_key_cannot_be_read(ctx: Context) -> None:
    """A read of a missing key raises PathNotFoundError; it never returns an empty object.

    If an empty manifest were read in the place of a missing one, it would be served as if it were right.
    """
    ctx.driver.put("there", ctx.payload("there").read(600))
    for key in ("missing", "missing/deeper", "ther", "there2"):
        with refused(PathNotFoundError):
            ctx.driver.open_reader(key)


@scenario("R3", kills=("prefix-reads-empty", "prefix-reads-its-first-key"), rows=(47,))
def a_prefix_cannot_be_read(ctx: Context) -> None:
    """A prefix is no object, and cannot be read."""
    ctx.driver.put("a/b/c", ctx.payload("c").read(600))
    for prefix in ("a", "a/b"):
        with refused(PathNotFoundError):
            ctx.driver.open_reader(prefix)


@scenario("R3", "S3", kills=("below-an-object-is-the-object",), rows=(97,))
def below_an_object_is_nothing(ctx: Context) -> None:
    """A key below an object's key is another key, and is missing."""
    ctx.driver.put("a/b", ctx.payload("b").read(600))
    for key in ("a/b/c", "a/b/c/d"):
        with refused(PathNotFoundError):
            ctx.driver.open_reader(key)
        with refused(PathNotFoundError):
            ctx.driver.stat(key)


def _overwrite(ctx: Context, data: bytes) -> None:
    with ctx.driver.open_writer("key") as writer:
        writer.seek(0)
        writer.write(data)


def _move_over(ctx: Context, data: bytes) -> None:
    ctx.driver.put("other", data)
    ctx.driver.move("other", "key")


def _reads_one_version(ctx: Context, change: Callable[[], object]) -> None:
    """Begin to read, change the object, and check that the rest is of the same version, or refused, again and again."""
    old = ctx.payload("old").read(300_000)
    ctx.driver.put("key", old)
    with ctx.open().open_reader("key") as reader, ctx.open().open_reader("key") as late:
        begun = reader.read(1000)
        change()
        for time in ("first", "second", "third"):
            reader.seek(1000)
            with suppress(BackendUnavailableError):
                ctx.same(begun + reader.read(), old, f"read before and after the change, the {time} time")
            late.seek(0)
            with suppress(BackendUnavailableError):
                ctx.same(late.read(), old, f"read after the change, the {time} time")


@scenario("R4", kills=("reader-mixes-versions",), rows=(48,))
def a_reader_keeps_its_version_when_the_object_is_put(ctx: Context) -> None:
    """If an object is replaced, its reader reads the old bytes or raises: it never mixes two versions.

    A mixture looks like a layer until somebody unpacks it.
    """
    _reads_one_version(ctx, lambda: ctx.driver.put("key", ctx.payload("new").read(400_000)))


@scenario("R4", "W5", kills=("reader-mixes-versions",), rows=(48,))
def a_reader_keeps_its_version_when_the_object_is_rewritten(ctx: Context) -> None:
    """If an object is written over and flushed, its reader reads the old bytes or raises."""
    _reads_one_version(ctx, lambda: _overwrite(ctx, ctx.payload("new").read(300_000)))


@scenario("R4", kills=("reader-mixes-versions",), rows=(48,))
def a_reader_keeps_its_version_when_the_object_is_moved_over(ctx: Context) -> None:
    """If another object is moved over an object, its reader reads the old bytes or raises."""
    _reads_one_version(ctx, lambda: _move_over(ctx, ctx.payload("new").read(300_000)))


@scenario(
    "R4",
    kills=("reader-mixes-versions", "reader-ends-with-its-object", "a-read-that-failed-gives-zeros-then"),
    rows=(48,),
)
def a_reader_keeps_its_version_when_the_object_is_made_anew(ctx: Context) -> None:
    """If an object is deleted and made anew, its reader reads the old bytes or raises."""

    def change() -> None:
        ctx.driver.delete("key")
        ctx.driver.put("key", ctx.payload("new").read(300_000))

    _reads_one_version(ctx, change)


@scenario("R4", kills=("reader-ends-with-its-object",), rows=(48,))
def a_reader_of_what_was_deleted_is_not_cut_short(ctx: Context) -> None:
    """If an object is deleted or moved away, its reader reads on or raises; it does not end early."""
    _reads_one_version(ctx, lambda: ctx.driver.delete("key"))
    _reads_one_version(ctx, lambda: ctx.driver.move("key", "elsewhere"))


@scenario("R4", "W6", kills=("reader-mixes-versions", "reader-shows-unflushed"), rows=(145,))
def a_reader_does_not_grow_with_its_object(ctx: Context) -> None:
    """A reader ends where the object ended at opening, and shows no byte written since, flushed or not.

    A client that is sent a layer's size first must then get as many bytes.
    """
    old = ctx.payload("old").read(5000)
    ctx.driver.put("key", old)
    with ctx.open().open_reader("key") as reader, ctx.driver.open_writer("key") as writer:
        writer.seek(0)
        writer.write(ctx.payload("new").read(9000))
        ctx.same(reader.read(2000), old[:2000], "while nothing was flushed")
        writer.flush()
        assert reader.size == 5000, f"size {reader.size} instead of 5000"
        try:
            rest = reader.read()
        except BackendUnavailableError:
            return
    ctx.same(rest, old[2000:], "of an object that was flushed meanwhile")


@scenario(
    "R5", kills=("buffer-half-filled", "reads-past-the-end", "reader-ignores-its-offset"), rows=(35, 36, 37, 39, 50)
)
def reads_of_any_size_at_any_offset_agree(ctx: Context) -> None:
    """A read of any range, at the end, over it or before it, returns the same as a slice of the bytes."""
    data = ctx.payload("ranges").read(20_000)
    ctx.driver.put("key", data)
    with ctx.open().open_reader("key") as reader:
        for _ in range(ctx.size(200)):
            start, size = ctx.random.randrange(21_000), ctx.random.choice((0, 1, 7, 511, 512, 513, 4096, 30_000))
            reader.seek(start)
            ctx.same(reader.read(size), data[start : start + size], f"{size} bytes from {start}")
            with ctx.driver.open_reader("key", min(start, len(data))) as opened:
                ctx.same(opened.read(size), data[start : start + size], f"{size} bytes of a reader opened at {start}")


@scenario("R5", kills=("buffer-half-filled", "newlines-translated"), rows=(34, 58))
def reads_of_any_size_join_into_the_object(ctx: Context) -> None:
    """Pieces of any size, read one after the other, join into the object: no byte is missing or doubled."""
    data = ctx.payload("pieces").read(8990) + b"\r\none\ntwo\r\n"
    ctx.driver.put("key", data)
    for size in (1, 3, 511, 512, 513, 4096, 9000, 9001, 9002):
        with ctx.open().open_reader("key") as reader:
            pieces = iter(lambda reader=reader, size=size: reader.read(size), b"")  # type: ignore[misc]  # defaults bind
            ctx.same(b"".join(pieces), data, f"in pieces of {size}")


@scenario("R5", "P1", kills=("tail-dropped", "short-read-in-silence", "ring-read-over-its-end"), rows=(32, 33))
def a_large_object_is_read_whole(ctx: Context) -> None:
    """An object larger than a backend's blocks comes back to its last byte, at once and in pieces.

    A layer without its end unpacks almost as it should.
    """
    data = ctx.payload("large").read(LARGE)
    ctx.driver.put("key", data)
    size = ctx.open().stat("key").size
    assert size == LARGE, f"size {size} instead of {LARGE}"
    ctx.expect("key", data)
    with ctx.open().open_reader("key") as reader:
        ctx.same(b"".join(iter(lambda: reader.read(PIECE), b"")), data, f"in pieces of {PIECE}")
    with ctx.open().open_reader("key", LARGE - 700) as reader:
        ctx.same(reader.read(), data[-700:], "the last 700 bytes")


@scenario("R5", kills=("short-read-in-silence",), rows=(170,))
def a_readers_size_is_the_objects_size(ctx: Context) -> None:
    """A reader's size is that of ``stat``, and it delivers as many bytes: it never ends early in silence."""
    for size in (0, 1, 70_000, 200_000):
        data = ctx.payload("whole").read(size)
        ctx.driver.put("key", data)
        with ctx.open().open_reader("key") as reader:
            promised = reader.size
            ctx.same(reader.read(), data, f"of {size} bytes")
        assert promised == ctx.open().stat("key").size == size, f"a reader of {promised} bytes instead of {size}"


class _MeagreDriver(PassingDriver):
    """A driver whose connection gives 700 bytes at a time, and from some byte on none."""

    def __init__(self, inner: Driver, ends_at: int) -> None:
        super().__init__(inner)
        self._ends_at = ends_at

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        return _MeagreReader(self.inner.open_reader(key, offset), self._ends_at)


class _MeagreReader(PassingReader):
    def __init__(self, inner: Reader, ends_at: int) -> None:
        super().__init__(inner)
        self._ends_at = ends_at

    def read_at(self, offset: int, buffer: memoryview) -> int:
        given = buffer[: min(700, self._ends_at - offset)] if offset < self._ends_at else buffer[:0]
        return super().read_at(offset, given) if given else 0


READS: dict[str, Callable[[Reader], object]] = {
    "read": lambda reader: reader.read(),
    "read of 5,000": lambda reader: reader.read(5000),
    "readall": lambda reader: reader.readall(),
    "readinto": lambda reader: reader.readinto(bytearray(5000)),
}
"""Ways to read an object whole."""


@scenario("R5", "R6", kills=("drips-passed-on",), rows=(50,))
def a_connection_that_drips_fills_the_buffer(ctx: Context) -> None:
    """One read returns all bytes that were asked for, however few a backend gives at a time.

    A caller that uses ``read`` of a file once takes a short answer for the end.
    """
    data = ctx.payload("drips").read(5000)
    ctx.driver.put("key", data)
    driver = CheckedDriver(_MeagreDriver(ctx.driver, ends_at=5000), "meagre")
    with driver.open_reader("key") as reader:
        ctx.same(reader.read(3001), data[:3001], "read")
        ctx.same(reader.readall(), data[3001:], "readall")
    ctx.same(driver.get("key", 4000), data[:4000], "get")


@scenario("R5", kills=("broken-connection-is-the-end",), rows=(50, 170))
def a_connection_that_breaks_is_no_end(ctx: Context) -> None:
    """If a backend gives no more bytes before the end, a read raises an error, and a part does not pass for all."""
    ctx.driver.put("key", ctx.payload("breaks").read(5000))
    for ends_at in (0, 2100, 4999):
        driver = CheckedDriver(_MeagreDriver(ctx.driver, ends_at), "meagre")
        for name, read in READS.items():
            ctx.step(f"{name}, which breaks at byte {ends_at}")
            with driver.open_reader("key") as reader, refused(BackendUnavailableError):
                read(reader)
        with refused(BackendUnavailableError):
            driver.get("key", 5000)


@scenario("R6", kills=("seeks-from-the-wrong-end",), rows=(45, 46))
def a_reader_is_a_file_object(ctx: Context) -> None:
    """A reader works like a file opened for reading: in buffers, line iteration, tarfile and copyfileobj."""
    data = ctx.payload("file").read(3000) + b"\nlast"
    ctx.driver.put("key", data)
    reader = ctx.open().open_reader("key")
    assert (reader.readable(), reader.seekable(), reader.writable()) == (True, True, False), "not readable and seekable"
    went = [reader.seek(7), reader.seek(5, os.SEEK_CUR), reader.tell(), reader.seek(-4, os.SEEK_END), reader.tell()]
    assert went == [7, 12, 12, 3001, 3001], f"went to {went}"
    ctx.same(reader.readall(), b"last", "from 4 bytes before the end")
    reader.seek(0)
    with io.BufferedReader(reader, 1024) as buffered:
        ctx.same(b"".join(buffered), data, "line by line")


@scenario("R6", kills=("reads-fill-one-item",), rows=(46, 59))
def a_reader_fills_buffers_of_any_kind(ctx: Context) -> None:
    """``readinto`` fills a buffer of any kind, and counts bytes, not items."""
    data = ctx.payload("into").read(4000)
    ctx.driver.put("key", data)
    for buffer in (bytearray(4000), array.array("I", bytes(4000)), memoryview(bytearray(4000))):
        with ctx.open().open_reader("key") as reader:
            count = reader.readinto(buffer)
        assert count == 4000, f"filled {count} bytes instead of 4000, into {type(buffer).__name__}"
        ctx.same(bytes(memoryview(buffer).cast("B")), data, f"into {type(buffer).__name__}")


@scenario("R6", kills=("seek-reads",), rows=(45, 188))
def a_seek_costs_no_read(ctx: Context) -> None:
    """A seek reads nothing: to seek through a layer of a gigabyte is free."""
    data = ctx.payload("seek").read(5000)
    ctx.driver.put("key", data)
    with ctx.driver.open_reader("key") as reader:
        ctx.trace.clear()
        for offset in (4000, 10, 2500, 0):
            reader.seek(offset)
        reads = [call for call in ctx.trace if call.startswith("read_at")]
        assert not reads, f"seeking read: {reads}"
        ctx.same(reader.read(), data, "after seeking")


@scenario("R6", "R2", kills=("seek-before-the-start-clamped", "seeks-from-the-wrong-end"), rows=(45,))
def a_seek_outside_the_object_is_defined(ctx: Context) -> None:
    """After a seek beyond the end a read returns nothing; a seek before the start is refused and moves nothing."""
    data = ctx.payload("outside").read(3000)
    ctx.driver.put("key", data)
    with ctx.open().open_reader("key", 100) as reader:
        with refused(InvalidOffsetError):
            reader.seek(-1)
        with refused(InvalidOffsetError):
            reader.seek(-3001, os.SEEK_END)
        assert reader.tell() == 100, f"at {reader.tell()} after a refused seek"
        assert reader.seek(10, os.SEEK_END) == 3010
        ctx.same(reader.read(), b"", "beyond the end")
        assert reader.seek(0) == 0
        ctx.same(reader.read(), data, "from the start again")

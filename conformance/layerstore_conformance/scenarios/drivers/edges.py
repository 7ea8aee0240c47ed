"""Edges: writes that begin just before, at or behind the published end, fenced ones too, and objects of no bytes."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from layerstore import FencedError, InvalidOffsetError, NoSpaceError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.driver import Driver, Reader, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

KEY = "d/key"

LENGTHS: Final = Axis("length", {"1": 1, "2": 2, "3": 3, "4,096": 4096, "65,537": 65_537, "1 MiB": 1 << 20})
"""Bytes that are published."""

PLACES: Final = Axis("place", {"before the end": -1, "at the end": 0, "behind the end": 1})
"""Where a write begins, in bytes from the published end."""

WIDTHS: Final = Axis("width", {"a byte": 1, "two": 2, "5,000": 5000})
"""Bytes that are written there."""

FIRST: Final = Axis("first", {"of this writer, anew": None, "of this writer": 0, "of another": 1})
"""Who has published what is there: this writer, of a new object or of one of no bytes, or another."""


@scenario(
    *("W6", "W7", "R4"),
    kills=("write-at-an-edge-is-seen",),
    rows=(88, 149, 161),
    axes=(LENGTHS, PLACES, WIDTHS, FIRST),
)
def a_write_at_any_edge_is_unseen_until_its_flush(
    ctx: Context, length: int, place: int, width: int, first: int | None
) -> None:
    """A write near the published end is seen after its flush, whole, and never after a discard."""
    old, at, data = bulk("old", length), length + place, b"X" * width
    for flushed in (False, True):
        ctx.driver.delete(KEY)
        if first is not None:
            ctx.driver.put(KEY, old[: first * length])
        with ctx.driver.open_writer(KEY) as writer:
            if not first:
                writer.write(old)
                writer.flush()
            writer.seek(at)
            writer.write(data)
            ctx.expect(KEY, old)
            if flushed:
                writer.flush()
            else:
                writer.discard()
        new = (old + b"\0")[:at] + data
        ctx.expect(KEY, new if flushed else old)


BEGUN: Final = Axis("begun", {"200": (200,), "200 and 50": (200, 50), "1 MiB and 5": (1 << 20, 5)})
"""Bytes of the writes before the first flush: a driver may have made room for more."""

APPENDED: Final = Axis("appended", {"30": (30,), "30 twice": (30, 30), "1, 700 and 5,000": (1, 700, 5000)})
"""Bytes of the writes after it, each of which is flushed."""


@scenario(
    *("W6", "W7", "R4"),
    kills=("an-append-is-published-at-its-first-flush-only",),
    rows=(88, 149, 161),
    axes=(BEGUN, APPENDED, Axis("over", {"the first": 0, "the second": 1, "the last": -1})),
)
def what_was_appended_is_written_over_unseen(
    ctx: Context, begun: tuple[int, ...], appended: tuple[int, ...], over: int
) -> None:
    """A write over what the same writer has appended and flushed is unseen until its flush, by whoever reads it."""
    writer, model, starts = ctx.driver.open_writer(KEY), b"", list[int]()
    for flushed, pieces in ((False, begun), (True, appended)):
        for size in pieces:
            starts.append(len(model))
            model += bulk(f"{flushed}-{len(model)}", size)
            writer.write(model[starts[-1] :])
            if flushed:
                writer.flush()
        writer.flush()
    at = starts[len(begun) :][min(over, len(appended) - 1)]
    with ctx.open().open_reader(KEY) as reader:
        writer.seek(at)
        writer.write(b"X" * (len(model) - at))
        ctx.same(reader.readall(), model, "by a reader from before the write")
    ctx.expect(KEY, model)
    writer.flush()
    ctx.expect(KEY, model[:at] + b"X" * (len(model) - at))
    writer.discard()


STEPS: Final = Axis("step", {f"{number:+}": number for number in range(-3, 4)})
"""From where the last write began to where the next one begins, in lengths of the last."""

PIECES: Final = Axis("length", {"100 B": 100, "4,096 B": 4096, "300,000 B": 300_000})
"""Bytes of one write."""


@scenario(
    *("W2", "W4", "W6"),
    kills=("a-step-back-is-taken-for-one-forward",),
    rows=(88,),
    axes=(STEPS, PIECES, Axis("writes", {"1": 1, "2": 2})),
)
def a_write_may_begin_whole_lengths_from_the_last(ctx: Context, step: int, length: int, writes: int) -> None:
    """A write that begins some lengths before or behind the last one, or where it began, is where it was asked for.

    A driver that gathers what follows on each other must not take another write for what follows.
    """
    whole = bytearray(bulk("old", 4 * length))
    ctx.driver.put(KEY, bytes(whole))
    with ctx.driver.open_writer(KEY) as writer:
        at = len(whole)
        for number in range(writes + 1):
            data = bytes([ord("a") + number]) * length
            at += (step if number == writes else number > 0) * length
            writer.seek(at)
            writer.write(data)
            whole[:] = whole[:at].ljust(at, b"\0") + data + whole[at + length :]
    ctx.expect(KEY, bytes(whole))


@scenario(
    *("F3", "F4", "W6"),
    kills=("fenced-writer-writes-on",),
    rows=(119, 120),
    axes=(LENGTHS, Axis("flushes", {"1": 1, "2": 2})),
)
def nothing_that_a_fenced_writer_writes_is_seen(ctx: Context, length: int, flushes: int) -> None:
    """What a writer writes after another has taken over and published is not seen, though the two share a block."""
    earlier, expected = ctx.driver.open_writer(KEY), bytearray()
    for number in range(flushes):
        data = bulk("earlier", length) if not number else b"2"
        earlier.write(data)
        earlier.flush()
        expected += data
    with ctx.open().open_writer(KEY) as later:
        later.write(b"later")
        later.flush()
        expected += b"later"
        with suppress(FencedError):
            earlier.write(b"Z")
        ctx.expect(KEY, bytes(expected))
        earlier.discard()
        ctx.expect(KEY, bytes(expected))
        later.write(b"!")
    ctx.expect(KEY, bytes(expected) + b"!")


@scenario(
    *("F3", "W7", "S2"),
    kills=("fenced-writer-writes-on",),
    rows=(119, 120),
    axes=(Axis("length", {"100 B": 100, "1 MiB and 100 B": MIB + 100, "5 MiB and 1 B": 5 * MIB + 1}),),
)
def a_fenced_writer_shares_no_room_with_the_later_one(ctx: Context, length: int) -> None:
    """What a fenced writer goes on to write is in nothing that the later one shows, which has changed the beginning.

    Both may add to the block in which the object ended when the later one was opened, and only one of them made it.
    """
    earlier, expected = ctx.driver.open_writer(KEY), bytearray(bulk("earlier", length))
    earlier.write(bytes(expected))
    earlier.flush()
    with ctx.open().open_writer(KEY) as later:
        later.seek(0)
        later.write(b"L")
        later.flush()
        expected[0:1] = b"L"
        for first, second in ((later, earlier), (earlier, later)):
            for writer in (first, second):
                with suppress(FencedError):
                    writer.seek(len(expected))
                    writer.write(b"later" if writer is later else b"EARLY")
            expected += b"later"
            later.flush()
            ctx.expect(KEY, bytes(expected))
        with suppress(FencedError):
            earlier.write(b"EARLY")
        ctx.expect(KEY, bytes(expected))
    earlier.discard()
    ctx.expect(KEY, bytes(expected))


@scenario(*("W6", "S2"), kills=("empty-flush-makes-a-version",), rows=(74,))
def a_flush_of_nothing_keeps_the_version_of_an_empty_object(ctx: Context) -> None:
    """An object of no bytes keeps its version through flushes of nothing, by the same writer and by another one."""
    with ctx.driver.open_writer(KEY) as writer:
        writer.flush()
        before = ctx.open().stat(KEY).version
        writer.flush()
        assert writer.version == before, "a second flush of nothing made a version"
    with ctx.open().open_writer(KEY) as writer:
        writer.flush()
    assert ctx.driver.stat(KEY).version == before, "a flush of nothing by another writer made a version"
    ctx.expect(KEY, b"")


OFFSETS: Final = (1, 700, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**40, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30)
"""Bytes: an offset comes from a client, which may ask for any."""


@scenario(*("R3", "E1"), kills=("missing-is-empty-at-an-offset",), rows=(10, 12, 47))
def a_missing_key_is_missing_at_any_offset(ctx: Context) -> None:
    """A missing key, a prefix, and what was deleted, are missing whatever offset a reader asks for."""
    ctx.driver.put("a/b", b"12345")
    ctx.driver.put("deleted", b"12345")
    ctx.driver.delete("deleted")
    unpublished = ctx.driver.open_writer("unpublished")
    unpublished.write(b"12345")
    for key in ("missing", "a", "a/b/c", "deleted", "unpublished"):
        for offset in (0, *OFFSETS):
            with refused(PathNotFoundError):
                ctx.driver.open_reader(key, offset)
    unpublished.discard()


@scenario(*("R2", "R6", "E1"), kills=("offset-wraps",), rows=(12, 41, 45))
def an_offset_of_any_size_is_beyond_the_end(ctx: Context) -> None:
    """However large an offset is, a reader is refused there, and reads nothing after a seek to it."""
    ctx.driver.put(KEY, b"12345")
    ctx.driver.put("d/empty", b"")
    for offset in OFFSETS:
        for key, size in ((KEY, 5), ("d/empty", 0)):
            if offset > size:
                with refused(InvalidOffsetError):
                    ctx.driver.open_reader(key, offset)
            with ctx.driver.open_reader(key) as reader:
                reader.seek(max(size, offset))
                ctx.same(reader.read(3), b"", f"at {offset} of {size} bytes")
                reader.seek(0)
                ctx.same(reader.read(3), b"123"[:size], f"from the start, after a seek to {offset}")


PARTS: Final = Axis("part", {"5": 5, "700": 700, "4,096": 4096, "65,536": 65_536})
SHORT: Final = Axis("short", {"1": 1, "2": 2, "3": 3})
"""Bytes by which a second part is shorter than the first: room that doubles has so many left."""

GIVEN_UP: Final = Axis("given_up", {"1": 1, "2": 2})


@scenario(
    *("W4", "W7"),
    kills=("last-byte-given-up-shows",),
    rows=(64, 161),
    axes=(PARTS, SHORT, GIVEN_UP),
)
def what_was_given_up_right_behind_an_end_shows_in_no_gap(ctx: Context, part: int, short: int, given_up: int) -> None:
    """A byte or two that a writer gave up right behind the published end are zeros in a gap of the next writer."""
    old = bulk("old", 2 * part - short)
    with ctx.driver.open_writer(KEY) as writer:
        writer.write(old[:part])
        writer.write(old[part:])
        writer.flush()
        writer.write(b"X" * given_up)
        writer.discard()
    with ctx.open().open_writer(KEY) as writer:
        writer.seek(2 * part + 300)
        writer.write(b"behind a gap")
    ctx.expect(KEY, old.ljust(2 * part + 300, b"\0") + b"behind a gap")


class _Noting(PassingDriver):
    """A driver whose writers note what they are given, and store nothing of it."""

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.asked: list[tuple[int, int]] = []

    def open_writer(self, key: str) -> Writer:
        return _NotingWriter(self.inner.open_writer(key), self.asked)


class _NotingWriter(PassingWriter):
    def __init__(self, inner: Writer, asked: list[tuple[int, int]]) -> None:
        super().__init__(inner)
        self._asked = asked

    def write_at(self, offset: int, data: memoryview) -> None:
        self._asked.append((offset, len(data)))


LARGEST: Final = 2**63 - 1
"""Bytes that an object may have."""


@scenario(*("W2", "W3", "E1"), kills=("objects-of-any-size", "last-byte-refused"), rows=(33, 64, 160))
def a_write_may_end_at_the_largest_size_and_no_further(ctx: Context) -> None:
    """A write that ends at 2^63 - 1 bytes is taken; one that ends beyond is refused, and asks and moves nothing.

    Offsets of the system have 63 bits. One that wraps lands at the beginning of the layer.
    """
    ctx.driver.put(KEY, b"12345")
    for length in (1, 2, 700):
        driver = _Noting(ctx.driver)
        writer = CheckedDriver(driver, "noting").open_writer(KEY)
        for start in (LARGEST - length + 1, LARGEST, LARGEST + 1, 2**63 + 700, 2**64 - length, 2**64, 2**64 + 5, 2**70):
            writer.seek(start)
            with refused(NoSpaceError) as refusal:
                writer.write(bytes(length))
            assert (writer.size, writer.tell()) == (5, start), f"size {writer.size}, at {writer.tell()}, not {start}"
            assert refusal.error.key.endswith(KEY), f"{refusal.error!r} does not name the key"
            assert writer.write(b"") == 0, "a write of nothing was refused, or counted"
        assert not driver.asked, f"the driver was asked to write {driver.asked[0]}"
        writer.seek(LARGEST - length)
        assert writer.write(bytes(length)) == length
        assert driver.asked == [(LARGEST - length, length)], f"the driver was asked to write {driver.asked}"
        assert (writer.size, writer.tell()) == (LARGEST, LARGEST), f"size {writer.size}, at {writer.tell()}"
        with refused(NoSpaceError):
            writer.write(b"1")
        assert (writer.size, writer.tell()) == (LARGEST, LARGEST), f"size {writer.size}, at {writer.tell()}"
        writer.discard()
    ctx.expect(KEY, b"12345")


@scenario(
    *("W1", "W3", "W5", "R6"),
    kills=("writer-seeks-from-the-published-end", "any-whence-is-the-start"),
    rows=(45, 57, 64),
)
def a_seek_counts_what_was_not_flushed(ctx: Context) -> None:
    """A writer seeks from its own end, flushed or not, and from its position; one that is refused moves nothing."""
    ctx.driver.put(KEY, b"12345")
    writer = ctx.driver.open_writer(KEY)
    writer.write(b"67890")
    went = [writer.seek(0, os.SEEK_END), writer.seek(-4, os.SEEK_END), writer.seek(1, os.SEEK_CUR), writer.tell()]
    assert went == [10, 6, 7, 7], f"went to {went}"
    writer.write(b"x")
    assert writer.seek(-8, os.SEEK_CUR) == 0, f"at {writer.tell()} instead of 0"
    assert writer.seek(20, os.SEEK_END) == 30, f"at {writer.tell()} instead of 30"
    assert writer.seek(0, os.SEEK_END) == 10, "a seek beyond the end made the object longer"
    writer.write(b"end")
    _refuses_to_seek(writer, 13)
    writer.flush()
    assert writer.seek(-1, os.SEEK_END) == 12, f"at {writer.tell()} instead of 12"
    writer.write(b"D")
    writer.close()
    ctx.expect(KEY, b"1234567x90enD")
    with ctx.open().open_reader(KEY, 7) as reader:
        _refuses_to_seek(reader, 7)
        ctx.same(reader.read(3), b"x90", "after seeks that were refused")


def _refuses_to_seek(handle: Reader | Writer, position: int) -> None:
    for offset, whence in (
        (-1, os.SEEK_SET),
        (-position - 1, os.SEEK_CUR),
        (-14, os.SEEK_END),
        (-(2**70), os.SEEK_CUR),
    ):
        with refused(InvalidOffsetError):
            handle.seek(offset, whence)
        assert handle.tell() == position, f"at {handle.tell()} instead of {position}"
    for whence in (-1, 3, 4, 2**31, 2**70):
        with refused(ValueError):
            handle.seek(0, whence)
        assert handle.tell() == position, f"at {handle.tell()} instead of {position}, after a seek from {whence}"

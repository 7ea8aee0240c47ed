"""Files: every handle is a file object to Python, which trusts what seek, tell, read and write return."""

from __future__ import annotations

import array
import ctypes
import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from layerstore import InvalidOffsetError, Layer, LayerUpload
from layerstore.driver import Reader, Writer
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.points import KIB, MIB

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from layerstore_conformance.engine.context import Context

GROUP = "upload"

SIZE: Final = 3000
"""Bytes."""

Handle = Reader | Writer | Layer | LayerUpload


def _handles(ctx: Context) -> Iterator[tuple[str, Handle]]:
    """Yield a handle of every kind in every state, of data of ``SIZE`` bytes unless its name says otherwise."""
    data = ctx.payload("file").read(SIZE)
    ctx.driver.put("key", data)
    store(ctx.service(), "a", data)
    yield "a reader", ctx.driver.open_reader("key", 5)
    yield "a writer", ctx.driver.open_writer("key")
    new = ctx.driver.open_writer("new")
    yield "a writer of nothing", new
    new.write(data)
    yield "a writer of what is not flushed", new
    yield "a layer", ctx.service().fetch("a", digest(data))
    upload = ctx.service().upload("b")
    yield "an upload of nothing", upload
    upload.write(data)
    yield "a gathered upload", upload
    yield "a layer that was not read", upload.finish(digest(data))
    large = ctx.service().upload("a")
    large.seek(MIB)
    large.write(data)
    yield "an upload that is not gathered", large
    large.cancel()
    yield "a resumed upload", ctx.service().resume("c", begin(ctx.service(), "c", data))
    yield "an upload whose data has become a blob", ctx.service().resume("a", moved_only(ctx, data).uuid)


class Index:
    """A number of another type, as numpy's are."""

    def __init__(self, number: int) -> None:
        """Take it."""
        self.number = number

    def __index__(self) -> int:
        """Return it."""
        return self.number


def _chain(size: int) -> Iterator[tuple[Any, int, int]]:
    """Yield seeks, each from where the one before it went, and their targets."""
    yield 0, os.SEEK_SET, 0
    yield 3, os.SEEK_SET, 3
    yield 0, os.SEEK_CUR, 3
    yield 9, os.SEEK_CUR, 12
    yield -4, os.SEEK_CUR, 8
    yield 0, os.SEEK_END, size
    yield -size, os.SEEK_END, 0
    yield size + 9, os.SEEK_SET, size + 9
    yield 0, os.SEEK_CUR, size + 9
    yield 0, os.SEEK_END, size
    yield 7, os.SEEK_END, size + 7
    yield -size - 7, os.SEEK_CUR, 0
    yield 2**40, os.SEEK_SET, 2**40
    yield Index(4), os.SEEK_SET, 4
    yield True, os.SEEK_CUR, 5


@scenario(
    *("R6", "W3"),
    kills=(
        *("uploads-seek-returns-the-offset", "an-upload-ends-where-it-is", "seeks-cut-off-fractions"),
        *("handles-seek-returns-the-offset", "a-layers-seek-returns-the-offset", "a-refused-seek-of-an-upload-moves"),
    ),
    rows=(45, 57, 64),
)
def every_handle_says_where_it_is(ctx: Context) -> None:
    """A seek of any handle, from the start, the position or the end, returns the new position, as ``tell`` does.

    A seek that is refused moves nothing: to before the start, from nowhere, by what is no whole number.
    """
    for what, handle in _handles(ctx):
        ctx.step(what)
        size, before = handle.size, handle.tell()
        for offset, whence, target in _chain(size):
            went = handle.seek(offset, whence)
            name = f"seek({offset!r}, {whence}) of {what}, of {size} bytes,"
            assert went == target, f"{name} returned {went}, not {target}"
            assert handle.tell() == target, f"{name} went to {handle.tell()}, not to {target}"
        _refuses_to_seek(handle, what)
        assert handle.size == size, f"seeks made {what} {handle.size} bytes long instead of {size}"
        handle.seek(before)


def _refuses_to_seek(handle: Handle, what: str) -> None:
    position = handle.tell()
    asks: list[tuple[type[Exception], Any, Any]] = [
        *((InvalidOffsetError, offset, os.SEEK_SET) for offset in (-1, -(2**70))),
        (InvalidOffsetError, -position - 1, os.SEEK_CUR),
        (InvalidOffsetError, -handle.size - 1, os.SEEK_END),
        *((ValueError, 0, whence) for whence in (-1, 3, 2**70)),
        *((TypeError, offset, whence) for offset in (0.9, 1.0, "1", b"1", None) for whence in range(3)),
    ]
    for kind, offset, whence in asks:
        with refused(kind):
            handle.seek(offset, whence)
        assert handle.tell() == position, f"seek({offset!r}, {whence}) of {what} was refused, and moved it"


class _Pair(ctypes.Structure):
    _fields_ = (("first", ctypes.c_uint64), ("second", ctypes.c_uint16))


BUFFERS: Final[dict[str, Buffer]] = {
    "bytes": b"12345",
    "no bytes": b"",
    "a bytearray": bytearray(b"123"),
    "bytes in two dimensions": memoryview(bytes(range(12))).cast("B", [3, 4]),
    "characters": memoryview(b"abcd").cast("c"),
    **{f"an array of {code}": array.array(code, range(1, 8)) for code in "bBhHiIlLqQfd"},
    "an empty array": array.array("Q"),
    "numbers in two dimensions": memoryview(bytes(range(24))).cast("I", [2, 3]),
    "a structure": _Pair(7, 8),
    "an array of structures": (_Pair * 3)(),
    "64 KiB of numbers": array.array("I", bytes(64 * KIB)),
}


def _writers(ctx: Context) -> Iterator[tuple[str, Writer | LayerUpload]]:
    yield "a writer", ctx.driver.open_writer("key")
    yield "a gathered upload", ctx.service().upload("a")
    large = ctx.service().upload("b")
    large.seek(MIB)
    large.write(b"behind a gap")
    yield "an upload that is not gathered", large


@scenario(
    *("W2", "W3"),
    kills=("items-counted", "uploads-count-items", "a-stream-is-counted-from-the-start"),
    rows=(32, 58, 60),
)
def every_write_is_counted_in_bytes(ctx: Context) -> None:
    """A write of any buffer, also of numbers or structures, returns its length in bytes, and moves as far.

    So does a stream. Who counts items instead writes the rest once more, or sends a wrong offset.
    """
    for what, handle in _writers(ctx):
        end, size = handle.tell(), handle.size
        for at in (end, 3):
            handle.seek(at)
            for name, buffer in BUFFERS.items():
                ctx.step(f"{name}, to {what}")
                length = memoryview(buffer).nbytes
                written, at = handle.write(buffer), at + length  # noqa: PLW2901  (where the next one begins)
                assert written == length, f"{what} counted {written} bytes, not {length}, of {name}"
                assert handle.tell() == at, f"{what} is at {handle.tell()}, not at {at}, after {name}"
                size = max(size, at)
                assert handle.size == size, f"{what} has {handle.size} bytes, not {size}, after {name}"
        if isinstance(handle, LayerUpload):
            for length in (0, 1, 700, 70_000):
                handle.seek(7)
                read = handle.read_from(io.BytesIO(bytes(length)))
                assert read == length, f"{what} read {read} bytes from a stream of {length}"
                assert handle.tell() == 7 + length, f"{what} is at {handle.tell()}, not at {7 + length}"
            handle.cancel()
        else:
            handle.discard()


@scenario(
    *("R2", "R5", "R6"),
    kills=("reads-are-counted-in-items", "a-layers-reads-are-counted-in-items", "readall-of-a-layer-moves-nothing"),
    rows=(35, 46),
)
def every_read_is_counted_in_bytes(ctx: Context) -> None:
    """A read into any buffer, also of numbers, returns how many bytes it filled, and moves as far, to the very end."""
    data = ctx.payload("file").read(SIZE)
    ctx.driver.put("key", data)
    store(ctx.service(), "a", data)
    upload = ctx.service().upload("a")
    upload.write(data)
    handles: dict[str, Reader | Layer] = {
        "a reader": ctx.driver.open_reader("key"),
        "a layer": ctx.service().fetch("a", digest(data)),
        "a layer that was not read": upload.finish(digest(data)),
    }
    for what, handle in handles.items():
        for at in (0, SIZE - 3, SIZE, SIZE + 9):
            for code in "BIQ":
                ctx.step(f"{what}, at {at}, into an array of {code}")
                buffer = array.array(code, bytes(32))
                handle.seek(at)
                count, expected = handle.readinto(buffer), data[at : at + 32]
                assert count == len(expected), f"{what} counted {count} bytes, not {len(expected)}, at {at}"
                assert handle.tell() == at + count, f"{what} is at {handle.tell()}, not at {at + count}"
                ctx.same(buffer.tobytes(), expected.ljust(32, b"\0"), f"read by {what} at {at}")
        reads: dict[str, Callable[[], bytes | None]] = {
            "read": handle.read,
            "readall": handle.readall,
            "long read": partial(handle.read, 2 * SIZE),
        }
        for name, at in itertools.product(reads, (7, SIZE + 9)):
            handle.seek(at)
            ctx.same(reads[name]() or b"", data[at:], f"{name} of {what} from {at}")
            assert handle.tell() == max(at, SIZE), f"{what} is at {handle.tell()} after a {name} from {at}"
        handle.close()


@scenario(
    *("R6", "W6"),
    kills=("uploads-are-not-writable", "uploads-are-not-seekable", "layers-are-not-readable"),
    rows=(141, 140),
)
def pythons_own_buffers_take_every_handle(ctx: Context) -> None:
    """Python's buffered files write an upload, and read a layer and a reader; each says what it can do.

    ``tarfile``, ``zipfile`` and servers ask for that first, and go another way, or none, if it is denied.
    """
    data = ctx.payload("buffered").read(20_000)
    upload = ctx.service().upload("a")
    _says(upload, readable=False, writable=True)
    buffered = io.BufferedWriter(upload)
    buffered.seek(10_000)
    buffered.write(data[10_000:])
    buffered.seek(0)
    shutil.copyfileobj(io.BytesIO(data[:10_000]), buffered, 700)
    assert buffered.seek(0, os.SEEK_END) == len(data), f"the end is at {buffered.tell()}, not at {len(data)}"
    buffered.detach()
    layer = upload.finish(digest(data), len(data))
    expect_layer(ctx, "a", data)
    ctx.driver.put("key", data)
    opens: list[Callable[[], Reader | Layer]] = [
        partial(ctx.driver.open_reader, "key"),
        lambda: layer,
        partial(ctx.service().fetch, "a", digest(data)),
    ]
    for opened in opens:
        handle = opened()
        _says(handle, readable=True, writable=False)
        with io.BufferedReader(handle) as reader:
            assert reader.seek(-9, os.SEEK_END) == len(data) - 9
            ctx.same(reader.read(), data[-9:], "the last bytes")
            reader.seek(0)
            copied = io.BytesIO()
            shutil.copyfileobj(reader, copied, 700)
            ctx.same(copied.getvalue(), data, "copied")
        assert handle.closed, "it is open, though the buffer in front of it was closed"


def _says(handle: io.RawIOBase, *, readable: bool, writable: bool) -> None:
    found = (handle.readable(), handle.writable(), handle.seekable())
    expected = (readable, writable, True)
    assert found == expected, f"{handle!r} is readable, writable, seekable: {found} instead of {expected}"

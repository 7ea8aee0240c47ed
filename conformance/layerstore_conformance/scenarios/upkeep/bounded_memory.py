"""Memory: layers and objects larger than what a driver may hold are stored and read back in bounded memory."""

from __future__ import annotations

import gc
import hashlib
import io
import shutil
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "leaks"
IDS = "leaks"

LAYER_SIZE: dict[Profile, int] = {"quick": 48 * MIB, "default": 64 * MIB, "full": 1024 * MIB}
"""Bytes of the streamed layer, much more than the memory that it may use."""


def larger(ctx: Context, size: int) -> int:
    """Return the size in bytes of a layer larger than the memory it may use, and at least this size."""
    return ctx.size(max(size, 3 * ctx.capabilities.memory // 2))


class Stream(io.RawIOBase):
    """A payload as a stream, made as it is read, of any size, and never all in memory."""

    def __init__(self, label: str, size: int) -> None:
        """Be ``size`` bytes long."""
        super().__init__()
        self._label = label
        self._left = size
        self.hash, self.long_hash = hashlib.sha256(), hashlib.sha512()

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (as io.RawIOBase has it)
        """Fill the buffer, less at the end."""
        with memoryview(buffer) as view:
            count = min(len(view), self._left)
            view[:count] = hashlib.shake_128(f"<{self._label}@{self._left}>".encode()).digest(count)
            self.hash.update(view[:count])
            self.long_hash.update(view[:count])
        self._left -= count
        return count


class Sink(io.RawIOBase):
    """Takes bytes, and keeps only their hash."""

    def __init__(self) -> None:
        """Begin with no bytes."""
        super().__init__()
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        """Say that this can be written."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401  (as io.RawIOBase has it)
        """Hash."""
        self.hash.update(data)
        return len(data)


@contextmanager
def bounded(limit: int) -> Iterator[None]:
    """Check that the block never uses more than ``limit`` bytes above the memory in use at its beginning."""
    tracing = tracemalloc.is_tracing()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if not tracing:
            tracemalloc.stop()
    assert peak - before < limit, f"{(peak - before) >> 20} MiB in use at once, at most {limit >> 20} expected"


@scenario(
    *("C6", "W6", "R5"),
    kills=("stream-is-read-into-memory", "holds-what-was-not-flushed", "readers-fetch-the-whole-object"),
    needs=("durable",),
    profile="default",
)
def a_layer_is_streamed_in_bounded_memory(ctx: Context) -> None:
    """A layer larger than its share of memory is uploaded from a stream, and read, in bounded memory.

    Many layers arrive at a registry at once; a driver that holds each of them whole brings it down. A driver that does
    not declare ``durable`` is exempt: it may store objects in memory.
    """
    size = larger(ctx, LAYER_SIZE[ctx.profile])
    source, sink = Stream(f"bounded-{ctx.seed}", size), Sink()
    with bounded(ctx.capabilities.memory):
        upload = ctx.service().upload("a")
        assert upload.read_from(source) == size
        wanted = f"sha256:{source.hash.hexdigest()}"
        upload.finish(wanted, size).close()
        with ctx.service().fetch("a", wanted) as layer:
            shutil.copyfileobj(layer, sink, MIB)
    assert sink.hash.hexdigest() == source.hash.hexdigest()


@scenario(
    *("C6", "R5"),
    kills=("layer-is-read-whole-to-verify", "holds-what-was-not-flushed"),
    needs=("durable",),
    profile="default",
)
def a_layer_is_read_back_in_bounded_memory(ctx: Context) -> None:
    """A layer is verified by reading it back, by its sha512 and after resuming, in bounded memory."""
    size = larger(ctx, 24 * MIB)
    with bounded(ctx.capabilities.memory):
        upload = ctx.service("reread").upload("a")
        source = Stream(f"back-{ctx.seed}", size)
        upload.read_from(source)
        upload.close()
        upload = ctx.service("reread").resume("a", upload.uuid, offset=size)
        upload.finish(f"sha512:{source.long_hash.hexdigest()}", size).close()
    assert ctx.service().exists("a", f"sha256:{source.hash.hexdigest()}")


@scenario(*("C6", "W2"), kills=("holds-what-was-not-flushed",), needs=("durable",), profile="default")
def one_large_write_is_stored_in_bounded_memory(ctx: Context) -> None:
    """A write of more bytes than a driver may hold, behind a small one, is stored without a copy of the whole of it."""
    data = bytearray(larger(ctx, 24 * MIB))
    with bounded(ctx.capabilities.memory):
        writer = ctx.driver.open_writer("key")
        writer.write(b"small")
        writer.write(data)
        writer.close()
    assert ctx.open().stat("key").size == len(data) + 5


PIECES = Axis("piece", {"16 KiB": 16 << 10, "300,000": 300_000, "1 MiB": MIB, "3 MiB": 3 * MIB})
ORDERS = Axis("order", {"one after the other": list, "backwards": reversed})
"""Sizes of writes, and the order of their offsets."""


@scenario(
    *("C6", "W2", "W6"),
    kills=("small-writes-are-gathered-and-copied",),
    needs=("durable",),
    axes=(PIECES, ORDERS),
    profile="default",
)
def many_writes_are_stored_in_bounded_memory(ctx: Context, piece: int, order: Callable[[range], Iterable[int]]) -> None:
    """Writes of any size, in either order, of more bytes than a driver may hold are flushed in bounded memory.

    What a driver gathers of small writes counts, and what it copies of that at the flush.
    """
    starts, data = range(0, larger(ctx, 24 * MIB), piece), ctx.payload("piece").read(piece)
    ctx.driver.put("warm", b"warm")
    with bounded(ctx.capabilities.memory):
        writer = ctx.driver.open_writer("key")
        for start in order(starts):
            writer.seek(start)
            writer.write(data)
        writer.close()
    with ctx.open().open_reader("key", starts[-1]) as reader:
        ctx.same(reader.read(2 * piece), data, "the last piece")


@scenario(*("C6", "R5"), kills=("one-read-is-copied",), needs=("durable",), profile="default")
def one_large_read_fills_its_buffer_in_bounded_memory(ctx: Context) -> None:
    """A read of more bytes than a driver may hold fills the caller's buffer, without another one of that size."""
    size = larger(ctx, 24 * MIB)
    with ctx.driver.open_writer("key") as writer:
        for _ in range(0, size, MIB):
            writer.write(bytes(MIB))
        writer.write(b"the end")
    buffer = memoryview(bytearray(size))
    for offset in (0, 7):
        with ctx.open().open_reader("key", offset) as reader, bounded(ctx.capabilities.memory):
            filled = reader.readinto(buffer)
            while filled < len(buffer) and (more := reader.readinto(buffer[filled:])):
                filled += more
        assert filled == size, f"{filled} bytes were read instead of {size}, from {offset} on"


@scenario(
    *("C6", "W5", "M1", "W6"), kills=("an-overwrite-reads-the-whole-object",), needs=("durable",), profile="default"
)
def what_is_done_to_a_large_object_takes_bounded_memory(ctx: Context) -> None:
    """An object larger than the bound is appended to, overwritten at its beginning, and moved, all within the bound.

    Where a backend cannot change an object in place, it is copied: piece by piece.
    """
    size = larger(ctx, 24 * MIB)
    with ctx.driver.open_writer("key") as writer:
        for _ in range(0, size, MIB):
            writer.write(bytes(MIB))
    for what, act in (("append", _append_a_byte), ("overwrite", _overwrite_a_byte), ("move", _move_away)):
        ctx.step(what)
        with bounded(ctx.capabilities.memory):
            act(ctx.driver)
    with ctx.open().open_reader("moved") as reader:
        assert (reader.size, reader.read(2)) == (-(-size // MIB) * MIB + 1, b"b\0")


def _append_a_byte(driver: CheckedDriver) -> None:
    with driver.open_writer("key") as writer:
        writer.write(b"a")


def _overwrite_a_byte(driver: CheckedDriver) -> None:
    with driver.open_writer("key") as writer:
        writer.seek(0)
        writer.write(b"b")


def _move_away(driver: CheckedDriver) -> None:
    driver.move("key", "moved")

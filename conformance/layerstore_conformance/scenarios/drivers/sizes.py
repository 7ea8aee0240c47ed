"""Sizes: an object of any size is whole by every way that leads to it; exact multiples of blocks are sizes, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import LARGEST, bulk
from layerstore_conformance.steps.points import KIB, MIB, SIZES

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def _put(ctx: Context, data: bytes) -> None:
    ctx.driver.put("key", data)


def _put_over(ctx: Context, data: bytes) -> None:
    ctx.driver.put("key", bulk("longer", min(LARGEST, len(data) + 70_001)))
    ctx.driver.put("key", data)


def _written(ctx: Context, data: bytes) -> None:
    with ctx.driver.open_writer("key") as writer:
        assert writer.write(data) == len(data), "not all was written"


def _appended(ctx: Context, data: bytes) -> None:
    for part in (data[: len(data) // 2], data[len(data) // 2 :]):
        with ctx.open().open_writer("key") as writer:
            writer.write(part)


def _in_pieces(ctx: Context, data: bytes) -> None:
    buffer = bytearray(64 * KIB if len(data) < MIB else MIB)
    with ctx.driver.open_writer("key") as writer:
        for start in range(0, len(data), len(buffer)):
            part = data[start : start + len(buffer)]
            buffer[: len(part)] = part
            writer.write(memoryview(buffer)[: len(part)])
            buffer[:] = bytes(len(buffer))


def _moved(ctx: Context, data: bytes) -> None:
    ctx.driver.put("source", data)
    ctx.driver.move("source", "key")


def _rewritten(ctx: Context, data: bytes) -> None:
    ctx.driver.put("key", bulk("other", len(data)))
    with ctx.driver.open_writer("key") as writer:
        writer.seek(0)
        writer.write(data)


WAYS: dict[str, Callable[[Context, bytes], None]] = {
    "put": _put,
    "put over a longer one": _put_over,
    "one write": _written,
    "two writers": _appended,
    "pieces": _in_pieces,
    "moved": _moved,
    "rewritten": _rewritten,
}


@scenario(
    *("P1", "W2", "W5", "W6", "M1", "R5", "S1"),
    kills=("put-loses-a-block", "write-loses-a-block", "flush-cuts-large", "move-cuts-large", "read-at-loses-a-block"),
    rows=(32, 33, 58, 66),
    axes=(SIZES, Axis("way", WAYS)),
)
def an_object_of_any_size_is_whole(ctx: Context, size: int, way: Callable[[Context, bytes], None]) -> None:
    """An object of any size, put, written, moved or rewritten, is whole, and reader and ``stat`` have its size.

    A loop over blocks that ends one early, or one late, shows at exact multiples alone.
    """
    data = bulk("size", size, ctx.seed)
    way(ctx, data)
    ctx.expect("key", data)
    assert ctx.open().stat("key").size == size, f"size {ctx.open().stat('key').size} instead of {size}"
    assert ctx.stored() == ["key"]
    with ctx.open().open_reader("key", size // 2) as reader:
        assert reader.size == size, f"a reader of {reader.size} bytes instead of {size}"
        ctx.same(reader.read(3 * KIB), data[size // 2 :][: 3 * KIB], "from the middle")
        reader.seek(max(0, size - 1))
        ctx.same(reader.read(10), data[size - 1 :] if size else b"", "the last byte")

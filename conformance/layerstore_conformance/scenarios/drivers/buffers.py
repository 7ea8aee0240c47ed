"""Buffers: memory of any kind, handed on in any way, is the caller's again after the call; and is filled as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.points import HANDED, MIB, OWNERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

LENGTHS = (700, 70_000, MIB, 3 * MIB)
"""Bytes: small buffers are often copied, and large ones kept."""


def _put(ctx: Context, buffer: Buffer) -> Callable[[], None]:
    ctx.driver.put("key", buffer)
    return lambda: None


def _write(ctx: Context, buffer: Buffer) -> Callable[[], None]:
    writer = ctx.driver.open_writer("key")
    writer.write(buffer)
    return writer.close


def _overwrite(ctx: Context, buffer: Buffer) -> Callable[[], None]:
    ctx.driver.put("key", bytes(memoryview(buffer).nbytes))
    writer = ctx.driver.open_writer("key")
    writer.seek(0)
    writer.write(buffer)
    return writer.close


def _flush(ctx: Context, buffer: Buffer) -> Callable[[], None]:
    writer = ctx.driver.open_writer("key")
    writer.write(buffer)
    writer.flush()
    return writer.close


def _upload(ctx: Context, buffer: Buffer) -> Callable[[], None]:
    """Write an upload, whose data becomes the object."""
    upload = ctx.service().upload("a")
    upload.write(buffer)

    def end() -> None:
        upload.flush()
        upload.close()
        (data,) = (key for key in ctx.stored() if key.endswith("/data"))
        ctx.driver.move(data, "key")

    return end


def _layer(ctx: Context, buffer: Buffer) -> Callable[[], None]:
    """Write an upload, and finish it: the digest must be of what is stored."""
    wanted, upload = digest(bytes(buffer)), ctx.service().upload("a")
    upload.write(buffer)

    def end() -> None:
        upload.finish(wanted).close()
        (data,) = (key for key in ctx.stored() if key.endswith("/data"))
        ctx.driver.move(data, "key")

    return end


TAKES = {"put": _put, "write": _write, "overwrite": _overwrite, "flush": _flush, "upload": _upload, "layer": _layer}


@scenario(
    *("W9", "W2", "P1"),
    kills=("view-kept", "buffer-kept", "put-keeps-the-buffer", "the-callers-buffer-is-hashed-late"),
    rows=(59, 67),
    axes=(Axis("taken", TAKES), OWNERS, HANDED),
)
def a_buffer_of_any_kind_is_the_callers_again(
    ctx: Context,
    taken: Callable[[Context, Buffer], Callable[[], None]],
    owner: Callable[[bytes], Buffer],
    handed: Callable[[memoryview], Buffer],
) -> None:
    """Memory of any kind and size, written or put as it is or through a view, may be filled anew after the call.

    A view that cannot be written through still shows what its owner does to the memory.
    """
    for length in LENGTHS:
        data = bulk("buffer", length, ctx.seed)
        buffer = owner(data)
        with memoryview(buffer) as view, view.cast("B") as plain:
            end = taken(ctx, handed(plain))
            plain[:] = b"\xee" * length
            end()
            ctx.expect("key", data)
        ctx.driver.delete("key")


FILLED = Axis("length", {"1": 1, "700": 700, "4 KiB": 4096, "1 MiB + 1": MIB + 1, "all": 3 * MIB + 77, "more": 4 * MIB})


@scenario("R5", "R6", kills=("buffer-half-filled",), rows=(35, 46, 58), axes=(OWNERS, FILLED))
def a_buffer_of_any_kind_is_filled(ctx: Context, owner: Callable[[bytes], Buffer], length: int) -> None:
    """``readinto`` fills memory of any kind and size with what lies at the position, and nothing beyond."""
    size = 3 * MIB + 77
    ctx.driver.put("key", bulk("filled", size, ctx.seed))
    for start in (0, 4095, MIB, 2 * MIB - 1, size - 5, size):
        buffer = owner(b"\xee" * length)
        with ctx.open().open_reader("key") as reader, memoryview(buffer) as view, view.cast("B") as plain:
            reader.seek(start)
            count = reader.readinto(plain)
            wanted = bulk("filled", min(size, start + length), ctx.seed)[start:]
            assert count == len(wanted), f"{count} of {len(wanted)} bytes from {start}"
            ctx.same(bytes(plain), wanted.ljust(length, b"\xee"), f"{length} bytes from {start}")

"""Outages: the store after a restart of the backend, and a handle after its connection was cut.

The harness restarts and cuts: :class:`layerstore_conformance.harness.Harness` says how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, FencedError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.expectations import expect_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "faults"

SIZE = 3 << 20
"""Bytes: several times what a driver reads ahead or sends at once."""


@scenario("W6", "P2", "M5", kills=("stored-when-the-handle-is-closed",), rows=(167,), needs=("restart",))
def what_was_stored_outlives_a_restart(ctx: Context) -> None:
    """After a restart of the backend, put, flushed and moved bytes are there, and bytes not flushed are not."""
    put, flushed, moved = (ctx.payload(name).read(5000) for name in ("put", "flushed", "moved"))
    ctx.driver.put("put", put)
    writer = ctx.driver.open_writer("flushed")
    writer.write(flushed)
    writer.flush()
    writer.write(b"never flushed")
    ctx.driver.put("from", moved)
    ctx.driver.move("from", "to")
    ctx.restart()
    assert ctx.stored() == ["flushed", "put", "to"]
    for key, data in (("put", put), ("flushed", flushed), ("to", moved)):
        ctx.expect(key, data)


@scenario("W6", "W8", "F1", kills=("cut-writer-loses-its-tail",), rows=(167, 164), needs=("restart",))
def an_upload_goes_on_after_a_restart(ctx: Context) -> None:
    """After a restart of the backend an upload goes on, with the same handle or resumed at its last flush."""
    data = ctx.payload("restarted").read(9000)
    upload = ctx.service().upload("a")
    upload.write(data[:3000])
    upload.flush()
    ctx.restart()
    try:
        upload.write(data[3000:6000])
        upload.flush()
    except (BackendUnavailableError, FencedError):
        upload = ctx.service().resume("a", upload.uuid)
        assert upload.tell() in (3000, 6000), "not where it was flushed"
    upload.write(data[upload.tell() :])
    upload.finish(digest(data)).close()
    expect_layer(ctx, "a", data)


@scenario("R4", "R5", kills=("cut-reader-reads-zeros",), rows=(170,), needs=("cut",))
def a_read_over_a_cut_connection_is_whole_or_refused(ctx: Context) -> None:
    """A reader whose connection is cut in the middle reads the right rest, or raises an error.

    It must not end early: nobody would notice a layer that was cut short until its digest is checked, long after.
    """
    data = ctx.payload("cut").read(SIZE)
    ctx.driver.put("key", data)
    with ctx.open().open_reader("key") as reader:
        found = reader.read(70_000)
        ctx.cut()
        try:
            found += reader.read()
        except BackendUnavailableError:
            found = data  # it said so
        ctx.same(found, data, "read over a cut connection")
    ctx.expect("key", data)


@scenario("W2", "W8", "E4", kills=("cut-writer-loses-its-tail",), rows=(164,), needs=("cut",))
def a_write_over_a_cut_connection_is_whole_or_refused(ctx: Context) -> None:
    """A writer whose connection is cut publishes all accepted bytes, at the first flush or later, or raises."""
    data = ctx.payload("cut").read(SIZE)
    writer = ctx.driver.open_writer("key")
    writer.write(data[:70_000])
    writer.flush()
    ctx.cut()
    for at in range(70_000, SIZE, 1 << 20):
        if not _once_more(lambda at=at: _write_at(writer, at, data[at : at + (1 << 20)])):  # type: ignore[misc]  # bound
            return  # refused: the flushed bytes stay, as after a discard
    ctx.cut()
    if _once_more(writer.flush):
        ctx.expect("key", data)
    else:
        ctx.expect("key", data[:70_000])
    writer.discard()


def _write_at(writer: Writer, at: int, data: bytes) -> None:
    writer.seek(at)
    writer.write(data)


def _once_more(act: Callable[[], object]) -> bool:
    """Do something, and a second time if the connection was cut; return whether it was done."""
    for _ in range(3):
        try:
            act()
        except BackendUnavailableError:
            continue
        return True
    return False

"""Cost: what an upload costs in driver calls and bytes, as exact counts."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from layerstore import layout
from layerstore.sha256 import exportable
from layerstore_conformance.layers import begin, expect_layer, store
from layerstore_conformance.payloads import digest
from layerstore_conformance.scenario import scenario
from layerstore_conformance.watching import Tally, watched

if TYPE_CHECKING:
    from layerstore_conformance.context import Context

GROUP = "cost"

STRAIGHT = {
    "put": 3,  # startedat, intent, link
    "open_writer": 1,
    "write_at": 1,
    "publish": 1,
    "move": 1,
    "delete": 2,  # startedat, and then the rest
    "open_reader": 2,  # link and blob, to return the layer
    "read_at": 1,
    "stat": 1,
}
"""Driver calls of an upload of one write, from its beginning to the layer."""

SIZE = 300_000


@scenario("W6", "M1", kills=("every-finish-reads-back", "state-saved-at-every-write"), rows=(188,))
def a_straight_upload_costs_a_handful_of_calls(ctx: Context) -> None:
    """An upload of a single write costs exactly the calls that it needs, from its beginning to the layer.

    Each is a request to a cloud, with its latency and its price.
    """
    data = ctx.payload("calls").read(1000)
    tally = Tally.zero()
    store(watched(ctx, tally), "a", data)
    assert dict(tally.calls) == STRAIGHT
    expect_layer(ctx, "a", data)


@scenario("W6", "M1", kills=("every-finish-reads-back", "finish-copies"), rows=(188,))
def a_straight_upload_reads_nothing_back(ctx: Context) -> None:
    """A straight upload, from chunks or from a stream, reads none of its bytes back, and writes them once."""
    data = ctx.payload("straight").read(SIZE)
    for name in ("chunks", "stream"):
        tally = Tally.zero()
        upload = watched(ctx, tally).upload(name)
        if name == "stream":
            upload.read_from(io.BytesIO(data))
        for at in range(0, SIZE if name == "chunks" else 0, 70_000):
            upload.write(data[at : at + 70_000])
        upload.finish(digest(data)).close()
        texts = len("2015-01-27T14:05:33Z") + 2 * len(digest(data))  # startedat; intent and link
        assert (tally.data_read, tally.bytes_written) == (0, SIZE + texts)


@scenario("M1", kills=("finish-copies",), rows=(188,))
def a_finish_moves_and_never_copies(ctx: Context) -> None:
    """A finish, of a new layer or over one that is there, is one move: it reads and writes no more than a few texts."""
    data = ctx.payload("moved").read(SIZE)
    for name in ("new", "again"):
        tally = Tally.zero()
        upload = watched(ctx, tally).upload(name)
        upload.write(data)
        upload.flush()
        tally.forget()
        upload.finish(digest(data)).close()
        assert (tally.calls["move"], tally.calls["write_at"], tally.calls["put"]) == (1, 0, 2)
        assert (tally.data_read, tally.bytes_written) == (0, 2 * len(digest(data)))
        expect_layer(ctx, name, data)


@scenario("S2", "P1", kills=("state-is-never-saved", "every-finish-reads-back"), rows=(159, 188))
def a_resumed_upload_reads_nothing_back(ctx: Context) -> None:
    """An upload resumed with its saved hash state as it was left reads nothing back; without hash states, all of it."""
    data = ctx.payload("resumed").read(SIZE)
    uuid = begin(ctx.service(), "a", data[:200_000])
    tally = Tally.zero()
    upload = watched(ctx, tally).resume("a", uuid)
    upload.write(data[200_000:])
    upload.finish(digest(data)).close()
    assert tally.data_read == (0 if exportable() else SIZE)
    expect_layer(ctx, "a", data)


@scenario("S2", "P1", kills=("every-finish-reads-back-twice",), rows=(159, 188))
def a_damaged_state_costs_one_reading(ctx: Context) -> None:
    """An upload whose saved hash state is damaged reads exactly what was stored before, once."""
    data = ctx.payload("damaged").read(SIZE)
    uuid = begin(ctx.service(), "a", data[:200_000])
    ctx.open().put(layout.UploadKeys("a", uuid).state, b"damaged")
    tally = Tally.zero()
    upload = watched(ctx, tally).resume("a", uuid)
    assert tally.data_read == 0, "resuming alone reads nothing back"
    for at in (200_000, 250_000):
        upload.write(data[at : at + 50_000])
        assert str(upload.digest()) == digest(data[: at + 50_000])
    upload.finish(digest(data)).close()
    assert tally.data_read == SIZE - 50_000, "what was stored when the first digest was asked for"


@scenario("W5", "S2", kills=("cursor-forgets-its-marks",), rows=(159, 188))
def the_last_chunk_written_again_costs_no_reading(ctx: Context) -> None:
    """An upload that goes back to its last flush, and writes on from there, reads nothing back."""
    data, again = ctx.payload("last").read(SIZE), ctx.payload("again").read(SIZE)
    tally = Tally.zero()
    upload = watched(ctx, tally).upload("a")
    for at in range(0, SIZE, 100_000):
        upload.write(data[at : at + 100_000])
        upload.flush()
    upload.seek(200_000)
    upload.write(again[200_000:])
    upload.finish(digest(data[:200_000] + again[200_000:])).close()
    assert tally.data_read == 0


@scenario("R5", kills=("reread-does-not-read", "every-finish-reads-back-twice"), rows=(188,))
def reading_back_reads_once(ctx: Context) -> None:
    """With ``verify="reread"``, or for a digest that was not computed on the way, every byte is read once."""
    data = ctx.payload("once").read(SIZE)
    for name, verify, algorithm in (("reread", "reread", "sha256"), ("sha512", "resume", "sha512")):
        tally = Tally.zero()
        upload = watched(ctx, tally, "reread" if verify == "reread" else "resume").upload(name)
        upload.write(data)
        upload.finish(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}").close()
        assert tally.data_read == SIZE, f"{name}: {tally.data_read} of {SIZE} bytes were read back"


@scenario("W6", kills=("state-saved-at-every-write",), rows=(188,))
def a_flush_of_nothing_new_saves_nothing(ctx: Context) -> None:
    """Flushing again, closing after a flush, and resuming to close at once, write nothing."""
    data = ctx.payload("nothing").read(5000)
    tally = Tally.zero()
    service = watched(ctx, tally)
    upload = service.upload("a")
    upload.write(data)
    upload.flush()
    tally.forget()
    upload.flush()
    upload.close()
    service.resume("a", upload.uuid).close()
    assert (tally.calls["put"], tally.calls["write_at"], tally.bytes_written) == (0, 0, 0)


@scenario("W2", kills=("writes-are-gathered",), rows=(188,))
def every_write_reaches_the_driver_as_it_is(ctx: Context) -> None:
    """Every write is given to the driver at once and whole: what gathers small ones is the driver's own affair."""
    tally = Tally.zero()
    upload = watched(ctx, tally).upload("a")
    before = tally.bytes_written
    for index in range(10):
        upload.write(ctx.payload("small").read(100, 100 * index))
        assert (tally.calls["write_at"], tally.bytes_written - before) == (index + 1, 100 * (index + 1))
    upload.cancel()


@scenario("R6", "R1", kills=("layer-is-read-when-opened",), rows=(188, 49))
def opening_a_layer_reads_none_of_it(ctx: Context) -> None:
    """Asking for a layer, opening it and seeking in it read none of it; reading a range reads just that."""
    data = ctx.payload("opened").read(SIZE)
    store(ctx.service(), "a", data)
    tally = Tally.zero()
    service = watched(ctx, tally)
    assert service.exists("a", digest(data))
    with service.fetch("a", digest(data)) as layer:
        assert layer.seek(0, io.SEEK_END) == layer.size == SIZE
        assert tally.data_read == 0
        layer.seek(100_000)
        ctx.same(layer.read(1000), data[100_000:101_000], "read from the middle")
        assert tally.data_read == 1000


@scenario("L4", "M1", kills=("finish-looks-at-everything",), rows=(188,))
def an_upload_costs_the_same_however_much_there_is(ctx: Context) -> None:
    """An upload into a repository with other layers and uploads costs the same calls as into an empty one."""
    for index in range(2):
        store(ctx.service(), "a", ctx.payload(f"other-{index}").read(500))
        begin(ctx.service(), "a", b"begun")
    tally = Tally.zero()
    store(watched(ctx, tally), "a", ctx.payload("same").read(1000))
    assert dict(tally.calls) == STRAIGHT


@scenario("P1", kills=("mount-copies",), rows=(188, 155))
def a_mount_copies_no_bytes(ctx: Context) -> None:
    """Mounting a layer reads and writes none of its bytes: it is one link more."""
    data = ctx.payload("mount").read(SIZE)
    store(ctx.service(), "a", data)
    tally = Tally.zero()
    watched(ctx, tally).mount("b", digest(data), source="a").close()
    assert (tally.data_read, tally.bytes_written) == (0, len(digest(data)))
    assert (tally.calls["move"], tally.calls["write_at"]) == (0, 0)
    expect_layer(ctx, "b", data)

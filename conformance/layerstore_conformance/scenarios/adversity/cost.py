"""Cost: what an upload costs in driver calls and bytes, as exact counts."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final

from layerstore import layout
from layerstore.hashing.sha256 import exportable
from layerstore.uploads.front import FRONT
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, store
from layerstore_conformance.kit.payloads import digest, expect_same
from layerstore_conformance.steps.expectations import expect_layer, finish_resumed
from layerstore_conformance.steps.watching import Tally, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "cost"

SMALL = {"put": 2, "stat": 1}
"""Driver calls of an upload that is finished while it is gathered: blob, link, and a look whether the blob is there."""

LARGE = {"open_writer": 1, "publish": 1, "move": 1, "put": 1, "stat": 1}
"""Driver calls of an upload that was never flushed, beside its writes."""

FLUSHED = {
    "put": 4,  # startedat, state, intent, link
    "open_writer": 1,
    "write_at": 1,
    "publish": 3,  # before startedat is put, after it, and by the finish
    "stat": 1,  # whether the state came too late
    "move": 1,
    "delete": 2,  # startedat, and then the rest
}
"""Driver calls of an upload that was flushed once, so that others know of it."""

SIZE = 300_000


@scenario(
    "P1", "S1", kills=("every-finish-reads-back", "small-layers-are-spooled", "finish-opens-the-layer"), rows=(188,)
)
def a_small_layer_costs_two_puts_and_a_look(ctx: Context) -> None:
    """A layer that is finished while it is gathered costs two puts and one look, from its beginning to its end.

    Each driver call is a request to a cloud, with its latency and its price, and most of the layers that clients upload
    are small.
    """
    data = ctx.payload("calls").read(1000)
    for name in ("new", "over-another"):
        tally = Tally.zero()
        store(watched(ctx, tally), name, data)
        assert dict(tally.calls) == SMALL
        assert tally.bytes_written == len(data) + len(digest(data))
        expect_layer(ctx, name, data)


@scenario("W6", "M1", kills=("straight-uploads-are-registered", "every-finish-reads-back"), rows=(188,))
def a_large_layer_costs_what_its_bytes_need(ctx: Context) -> None:
    """A large layer that is never flushed costs its writes, a publish, a move and a link."""
    data = ctx.payload("large").read(FRONT + SIZE)
    tally = Tally.zero()
    store(watched(ctx, tally), "a", data)
    assert tally.calls.pop("write_at") == 2
    assert dict(tally.calls) == LARGE
    assert (tally.data_read, tally.bytes_written) == (0, len(data) + len(digest(data)))
    expect_layer(ctx, "a", data)


@scenario("W6", "M1", kills=("every-finish-reads-back", "state-saved-at-every-write"), rows=(188,))
def an_upload_that_was_flushed_costs_a_handful_of_calls(ctx: Context) -> None:
    """An upload of one write, flushed once, costs exactly the driver calls that it needs, from beginning to end.

    Each call is a request to a cloud, with its latency and its price.
    """
    data = ctx.payload("flushed").read(1000)
    tally = Tally.zero()
    upload = watched(ctx, tally).upload("a")
    upload.write(data)
    upload.flush()
    upload.finish(digest(data)).close()
    assert dict(tally.calls) == (FLUSHED if exportable() else FLUSHED | {"put": 3, "stat": 0})
    expect_layer(ctx, "a", data)


@scenario("W6", "M1", kills=("every-finish-reads-back", "finish-copies"), rows=(188,))
def a_straight_upload_reads_nothing_back(ctx: Context) -> None:
    """A straight upload, from chunks or from a stream, writes each byte once and reads none of them back."""
    data = ctx.payload("straight").read(FRONT + SIZE)
    for name in ("chunks", "stream"):
        tally = Tally.zero()
        upload = watched(ctx, tally).upload(name)
        if name == "stream":
            upload.read_from(io.BytesIO(data))
        for at in range(0, len(data) if name == "chunks" else 0, 70_000):
            upload.write(data[at : at + 70_000])
        upload.finish(digest(data)).close()
        assert (tally.data_read, tally.bytes_written) == (0, len(data) + len(digest(data)))


@scenario("M1", kills=("finish-copies",), rows=(188,))
def a_finish_moves_and_never_copies(ctx: Context) -> None:
    """A finish of a new layer, or of one already there, is one move; it reads and writes only a few short texts."""
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
    """A resumed upload with its saved hash state reads nothing back; without hash states it reads all of its bytes."""
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
    """An upload whose saved hash state is damaged reads back exactly the bytes that were stored before, once."""
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
    assert tally.data_read == SIZE - 50_000, "more was read than the bytes stored before the first digest"


@scenario("W5", "S2", kills=("cursor-forgets-its-marks",), rows=(159, 188))
def the_last_chunk_written_again_costs_no_reading(ctx: Context) -> None:
    """An upload that goes back to its last flush and writes on from there reads nothing back."""
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


MANY: Final = (1, 40, 63, 64, 65, 66, 129)
"""Flushes after which an upload is resumed; core keeps 64 of its states."""


@scenario("W6", "P1", kills=("cursor-loses-its-last-mark", "long-states-are-not-read"), rows=(159, 188))
def an_upload_of_many_flushes_is_resumed_without_reading_back(ctx: Context) -> None:
    """An upload that was flushed many times reads nothing back when it is resumed, after however many flushes."""
    tally, data = Tally.zero(), b""
    upload = watched(ctx, tally).upload("a")
    for number in range(1, MANY[-1] + 1):
        piece = ctx.payload(f"piece-{number}").read(100)
        data += piece
        upload.write(piece)
        upload.flush()
        if number in MANY:
            upload.close()
            upload = watched(ctx, tally).resume("a", upload.uuid)
            assert str(upload.digest()) == digest(data)
            assert tally.data_read == 0 or not exportable(), f"{tally.data_read} bytes, after {number} flushes"
    finish_resumed(ctx, upload.uuid, data, b"")


@scenario("W5", "W6", "P1", kills=("state-of-the-same-length-is-not-saved",), rows=(159, 188))
def an_upload_that_was_written_anew_is_resumed_without_reading_back(ctx: Context) -> None:
    """An upload that goes back and writes as many other bytes reads nothing back when it is resumed, once or again."""
    data, tally = [ctx.payload(label).read(SIZE) for label in ("first", "second", "third")], Tally.zero()
    upload = watched(ctx, tally).upload("a")
    for each in data[:2]:
        upload.seek(0)
        upload.write(each)
        upload.flush()
    for each in data[1:]:
        upload.close()
        upload = watched(ctx, tally).resume("a", upload.uuid, offset=SIZE)
        assert str(upload.digest()) == digest(data[1])
        assert tally.data_read == 0 or not exportable(), f"{tally.data_read} bytes were read back"
        upload.seek(0)
        upload.write(each)
        data[1] = each
    upload.finish(digest(data[2])).close()
    expect_layer(ctx, "a", data[2])


@scenario("R5", kills=("reread-does-not-read", "every-finish-reads-back-twice"), rows=(188,))
def reading_back_reads_once(ctx: Context) -> None:
    """With ``verify="reread"``, or for a digest that was not computed on the way, every byte is read once."""
    data = ctx.payload("once").read(FRONT + SIZE)
    for name, verify, algorithm in (("reread", "reread", "sha256"), ("sha512", "resume", "sha512")):
        tally = Tally.zero()
        upload = watched(ctx, tally, "reread" if verify == "reread" else "resume").upload(name)
        upload.write(data)
        upload.finish(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}").close()
        assert tally.data_read == len(data), f"{name}: {tally.data_read} of {len(data)} bytes were read back"


@scenario("W6", kills=("state-saved-at-every-write",), rows=(188,))
def a_flush_of_nothing_new_saves_nothing(ctx: Context) -> None:
    """A second flush, a close after a flush, and a resume followed by a close write nothing."""
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


@scenario("W2", kills=("writes-are-not-gathered",), rows=(188,))
def small_writes_reach_the_driver_in_blocks(ctx: Context) -> None:
    """Small writes reach the driver in blocks: at the beginning, after a flush, and in a large upload."""
    data = ctx.payload("small").read(2 * FRONT)
    tally = Tally.zero()
    upload = watched(ctx, tally).upload("a")
    for at in range(0, len(data), 1 << 16):
        upload.write(data[at : at + (1 << 16)])
    assert tally.calls["write_at"] == 1, "the second block is gathered"
    upload.flush()
    assert tally.calls["write_at"] == 2
    for _ in range(10):
        upload.write(data[:100])
    upload.finish(digest(data + 10 * data[:100])).close()
    assert (tally.calls["write_at"], tally.data_read) == (3, 0)


@scenario("R1", kills=("finish-opens-the-layer",), rows=(188, 49))
def a_layer_that_was_finished_is_opened_when_it_is_read(ctx: Context) -> None:
    """The layer that a finish returns describes itself and closes without a driver call; its first read opens it."""
    data = ctx.payload("returned").read(5000)
    tally = Tally.zero()
    service = watched(ctx, tally)
    for flush in (False, True):
        tally.forget()
        upload = service.upload("a")
        upload.write(data)
        if flush:
            upload.flush()
        layer = upload.finish(digest(data))
        calls = dict(tally.calls)
        assert "open_reader" not in calls
        assert (layer.name, str(layer.digest), layer.size, layer.tell()) == ("a", digest(data), len(data), 0)
        assert layer.created_at.tzinfo is not None
        assert dict(tally.calls) == calls
        expect_same(layer.read(), data, "a layer that was just finished")
        layer.close()
        tally.forget()
        upload.finish(digest(data)).close()  # fetched, this time
        assert tally.calls["open_reader"] == 2


@scenario("R6", "R1", kills=("layer-is-read-when-opened",), rows=(188, 49))
def opening_a_layer_reads_none_of_it(ctx: Context) -> None:
    """To look up a layer, open it and seek in it reads none of its bytes; a read of a range reads only that range."""
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
    """An upload costs the same calls in a repository with other layers and uploads as in an empty one."""
    for index in range(2):
        store(ctx.service(), "a", ctx.payload(f"other-{index}").read(500))
        begin(ctx.service(), "a", b"begun")
    tally = Tally.zero()
    store(watched(ctx, tally), "a", ctx.payload("same").read(1000))
    assert dict(tally.calls) == SMALL


@scenario("P1", kills=("mount-copies",), rows=(188, 155))
def a_mount_copies_no_bytes(ctx: Context) -> None:
    """A mount reads and writes none of the layer's bytes; it adds one link."""
    data = ctx.payload("mount").read(SIZE)
    store(ctx.service(), "a", data)
    tally = Tally.zero()
    watched(ctx, tally).mount("b", digest(data), source="a").close()
    assert (tally.data_read, tally.bytes_written) == (0, len(digest(data)))
    assert (tally.calls["move"], tally.calls["write_at"]) == (0, 0)
    expect_layer(ctx, "b", data)

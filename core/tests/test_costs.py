"""The costs of uploads, as exact counts: bytes read back, bytes written, bytes hashed, and calls of the driver."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest

from layerstore import LayerService, LayerUpload, layout, open_driver
from layerstore.driver import Driver
from layerstore.hashing import sha256
from layerstore.uploads import front
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Tally

CHUNKS = (1 << 10, 64 << 10, 1 << 20, 5 << 20)
DATA = Payload("costs").read(15 << 20)
OTHER = Payload("other").read(5 << 20)


@pytest.fixture(params=["memory", "local"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    """Open a new store, in memory and on disk."""
    return open_driver(f"memory://{tmp_path.name}" if request.param == "memory" else f"local://{tmp_path}/store")


@pytest.fixture
def costs() -> Tally:
    """Begin counting."""
    return Tally.zero()


@pytest.fixture
def store(driver: Driver, costs: Tally) -> LayerService:
    """Open the store through a driver that counts."""
    return LayerService(ObservedDriver(driver, costs))


def write_chunks(upload: LayerUpload, chunk: int, count: int = 3) -> bytes:
    """Write so many chunks, flushing each, as the requests of a client do; return them all."""
    for index in range(count):
        upload.write(DATA[index * chunk : (index + 1) * chunk])
        upload.flush()
    return DATA[: count * chunk]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_straight_upload_is_not_read_back(store: LayerService, costs: Tally, chunk: int) -> None:
    """A handle knows the hash of all that it wrote, whether it flushed or not."""
    upload = store.upload("a")
    content = write_chunks(upload, chunk)
    upload.write(OTHER[:chunk])
    upload.finish(digest(content + OTHER[:chunk]))
    assert costs.data_read == 0


def test_a_copied_stream_is_not_read_back(store: LayerService, costs: Tally) -> None:
    """``read_from`` hashes what it copies."""
    upload = store.upload("a")
    upload.read_from(io.BytesIO(DATA))
    upload.finish(digest(DATA))
    assert costs.data_read == 0


@pytest.mark.parametrize("chunk", CHUNKS)
def test_every_byte_is_hashed_once(store: LayerService, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """A straight upload hashes as many bytes as it has."""
    hashed = []
    update, new = type(sha256.new()).update, sha256.new()

    def count(self: sha256.Hasher, data: bytes) -> None:
        hashed.append(len(data))
        update(self, data)

    monkeypatch.setattr(type(new), "update", count)
    upload = store.upload("a")
    content = write_chunks(upload, chunk)
    upload.finish(digest(content))
    assert sum(hashed) == len(content)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_resumed_upload_with_its_state_is_not_read_back(store: LayerService, costs: Tally, chunk: int) -> None:
    """Closed and resumed after every chunk, an upload reads nothing but its small saved states."""
    upload = store.upload("a")
    for index in range(3):
        upload.write(DATA[index * chunk : (index + 1) * chunk])
        upload.close()
        upload = store.resume("a", upload.uuid)
    upload.finish(digest(DATA[: 3 * chunk]))
    assert costs.data_read == 0
    assert costs.bytes_read < 3 << 12


@pytest.mark.parametrize("damage", [lambda state: state[:-2], lambda _: b"", None])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_resumed_upload_without_its_state_is_read_back_once(
    store: LayerService, costs: Tally, driver: Driver, chunk: int, damage: Callable[[bytes], bytes] | None
) -> None:
    """With the state damaged or missing exactly the upload's length is read."""
    with store.upload("a") as upload:
        content = write_chunks(upload, chunk)
    key = layout.UploadKeys("a", upload.uuid).state
    with driver.open_reader(key) as reader:
        document = reader.readall()
    driver.delete(key) if damage is None else driver.put(key, damage(document))
    store.resume("a", upload.uuid).finish(digest(content))
    assert costs.data_read == len(content)


def test_what_was_read_back_once_is_known(store: LayerService, costs: Tally, driver: Driver) -> None:
    """Asked for the digest, an upload without a state reads everything; the finish that follows reads nothing."""
    with store.upload("a") as upload:
        content = write_chunks(upload, 1 << 20)
    driver.delete(layout.UploadKeys("a", upload.uuid).state)
    upload = store.resume("a", upload.uuid)
    upload.digest()
    upload.write(OTHER)
    upload.finish(digest(content + OTHER))
    assert costs.data_read == len(content)


@pytest.mark.parametrize("resumed", [False, True], ids=["same handle", "resumed"])
@pytest.mark.parametrize("piece", [1 << 10, 1 << 30], ids=["in pieces", "at once"])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_rewriting_the_last_chunk_reads_at_most_two(
    store: LayerService, costs: Tally, chunk: int, piece: int, resumed: bool
) -> None:
    """A client that sends its last chunk again, with other bytes, does not pay for the rest of the upload."""
    upload = store.upload("a")
    content = write_chunks(upload, chunk)[:-chunk] + OTHER[:chunk]
    if resumed:
        upload.close()
        upload = store.resume("a", upload.uuid)
    upload.seek(-chunk, io.SEEK_END)
    for at in range(0, chunk, min(piece, chunk)):
        upload.write(OTHER[at : min(at + piece, chunk)])
    upload.finish(digest(content))
    assert costs.data_read <= 2 * chunk


@pytest.mark.parametrize("chunk", CHUNKS)
def test_rewriting_the_end_of_an_upload_in_one_go_reads_what_was_gathered(
    store: LayerService, costs: Tally, chunk: int
) -> None:
    """Never flushed, small chunks that are still gathered are written over there: no more than two are read back."""
    upload = store.upload("a")
    for at in range(0, 3 << 20, chunk):
        upload.write(DATA[at : at + chunk])
    size = upload.size
    upload.seek(size - chunk)
    upload.write(OTHER[:chunk])
    upload.finish(digest(DATA[: size - chunk] + OTHER[:chunk]))
    assert costs.data_read <= (2 * chunk if chunk >= front.FRONT else 0)


def test_rewriting_half_the_last_chunk_reads_the_other_half(store: LayerService, costs: Tally) -> None:
    """The bytes after the rewritten ones are read back."""
    upload = store.upload("a")
    content = write_chunks(upload, 1 << 20)
    upload.seek(2 << 20)
    upload.write(OTHER[: 1 << 19])
    upload.finish(digest(content[: 2 << 20] + OTHER[: 1 << 19] + content[5 << 19 :]))
    assert costs.data_read == 1 << 19


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_another_algorithm_reads_the_bytes_once(store: LayerService, costs: Tally, algorithm: str) -> None:
    """On the way in there is no other hash than sha256."""
    upload = store.upload("a")
    content = write_chunks(upload, 1 << 20)
    upload.finish(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    assert costs.data_read == len(content)


def test_rereading_reads_the_bytes_once(driver: Driver, costs: Tally) -> None:
    """With ``verify="reread"`` a straight upload is read back exactly once."""
    upload = LayerService(ObservedDriver(driver, costs), verify="reread").upload("a")
    content = write_chunks(upload, 1 << 20)
    upload.finish(digest(content))
    assert costs.data_read == len(content)


@pytest.mark.parametrize("again", [False, True], ids=["new blob", "over another"])
def test_a_finish_moves_and_never_copies(store: LayerService, costs: Tally, again: bool) -> None:
    """However large the upload, a finish is one move, and writes no more than an intent and a link."""
    for name in ("first", "second")[: 1 + again]:
        upload = store.upload(name)
        content = write_chunks(upload, 5 << 20)
        costs.forget()
        upload.finish(digest(content))
    assert (costs.calls["move"], costs.calls["write_at"], costs.calls["put"]) == (1, 0, 2)
    assert (costs.bytes_written, costs.data_read) == (2 * len(digest(b"")), 0)


SMALL_LAYER = {"put": 2, "stat": 1}
"""Blob and link; and a look whether the blob is there."""


@pytest.mark.parametrize("size", [0, 1, 1000, front.FRONT])
@pytest.mark.parametrize("again", [False, True], ids=["new blob", "over another"])
def test_a_small_layer_costs_two_puts_and_a_look(store: LayerService, costs: Tally, size: int, again: bool) -> None:
    """From the beginning to the layer, closed unread: whatever fits in front of the backend is stored by these."""
    for name in ("first", "second")[: 1 + again]:
        costs.forget()
        upload = store.upload(name)
        upload.write(DATA[: size // 2])
        upload.write(DATA[size // 2 : size])
        with upload.finish(upload.digest(), size) as layer:
            assert (layer.name, str(layer.digest), layer.size) == (name, digest(DATA[:size]), size)
            assert layer.created_at.tzinfo is UTC
        assert dict(costs.calls) == SMALL_LAYER


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_small_layer_by_another_digest_costs_one_link_more(store: LayerService, costs: Tally, algorithm: str) -> None:
    """One for each digest that it is known by from then on."""
    upload = store.upload("a")
    upload.write(DATA[:1000])
    upload.finish(f"{algorithm}:{hashlib.new(algorithm, DATA[:1000]).hexdigest()}")
    assert dict(costs.calls) == {"put": 3, "stat": 1}


@pytest.mark.parametrize("chunk", [4096, 1 << 20, 5 << 20, 15 << 20])
def test_a_large_layer_costs_what_its_bytes_need(store: LayerService, costs: Tally, chunk: int) -> None:
    """Never flushed it has neither start nor intent nor state, and nothing is left to be removed."""
    upload = store.upload("a")
    for at in range(0, len(DATA), chunk):
        upload.write(DATA[at : at + chunk])
    upload.finish(digest(DATA)).close()
    writes = costs.calls.pop("write_at")
    assert writes == -(-len(DATA) // front.FRONT)
    assert dict(costs.calls) == {"open_writer": 1, "publish": 1, "move": 1, "put": 1, "stat": 1}
    assert costs.bytes_written == len(DATA) + len(digest(b""))


def test_an_upload_that_was_flushed_costs_what_others_need(store: LayerService, costs: Tally) -> None:
    """From the beginning to the layer, flushed once."""
    upload = store.upload("a")
    upload.write(DATA[:1000])
    upload.flush()
    upload.finish(digest(DATA[:1000])).close()
    assert dict(costs.calls) == {
        "put": 4,  # startedat, state, intent, link
        "open_writer": 1,
        "write_at": 1,
        "publish": 3,  # before the start is put, after it, and by the finish
        "stat": 1,  # whether the state came too late
        "move": 1,
        "delete": 2,  # startedat, and then the rest
    }


def test_an_upload_that_is_read_back_is_known_by_then(driver: Driver, costs: Tally) -> None:
    """With ``verify="reread"`` even a small layer goes by the backend, which is asked what it holds."""
    upload = LayerService(ObservedDriver(driver, costs), verify="reread").upload("a")
    upload.write(DATA[:1000])
    upload.finish(digest(DATA[:1000])).close()
    assert dict(costs.calls) == {
        "put": 3,  # startedat, intent, link
        "open_writer": 1,
        "write_at": 1,
        "publish": 2,
        "open_reader": 1,
        "read_at": 1,
        "move": 1,
        "delete": 2,
    }


def test_a_layer_that_was_finished_is_opened_when_it_is_read(store: LayerService, costs: Tally) -> None:
    """Once, and by no look at it; asked for again it is fetched."""
    upload = store.upload("a")
    upload.write(DATA[:1000])
    layer = upload.finish(digest(DATA[:1000]))
    layer.seek(-10, io.SEEK_END)
    repr(layer), layer.canonical
    assert costs.calls["open_reader"] == 0
    assert layer.read(4) + layer.read() == DATA[990:1000]
    assert (costs.calls["open_reader"], costs.calls["stat"]) == (1, 1)
    upload.finish(digest(DATA[:1000]))
    assert costs.calls["open_reader"] == 3  # link and blob


@pytest.mark.parametrize("flushed", [False, True])
def test_small_writes_reach_the_driver_in_blocks(store: LayerService, costs: Tally, flushed: bool) -> None:
    """They are gathered, at the beginning and behind what is stored already."""
    upload = store.upload("a")
    if flushed:
        upload.write(OTHER)
        upload.flush()
    costs.forget()
    for at in range(0, 3 << 20, 1000):
        upload.write(DATA[at : min(at + 1000, 3 << 20)])
    assert costs.calls["write_at"] == 3
    upload.finish(digest((OTHER if flushed else b"") + DATA[: 3 << 20]))
    assert (costs.calls["write_at"], costs.data_read) == (4, 0)


@pytest.fixture
def walked(store: LayerService) -> LayerService:
    """The store with two layers and an upload in a repository, and nothing to collect."""
    for data in (DATA[:1000], OTHER[:1000]):
        upload = store.upload("a")
        upload.write(data)
        upload.finish(digest(data)).close()
    store.upload("a").close()
    return store


def test_a_mark_walks_once_through_claims_and_once_through_links(walked: LayerService, costs: Tally) -> None:
    """That it sees what no key names costs one listing more: of what lies beside the repositories."""
    costs.forget()
    walked.collect()
    claims, links = 4, 6  # repositories, a, _uploads, intent; repositories, a, _layers, sha256, two links
    trash, beside, blobs = 1, 1, 1 + 2 * 2  # sha256, and for each blob the first two digits and its own
    assert costs.calls["list"] == trash + beside + claims + links + blobs
    assert {**costs.calls, "list": 0} == {"list": 0, "open_reader": 2, "read_at": 2}


def test_a_scrub_lists_each_prefix_once(walked: LayerService, costs: Tally) -> None:
    """Where uploads lie, it asks for no key that a listing has shown."""
    costs.forget()
    list(walked.scrub())
    survey = 8  # repositories, a, _layers, sha256, two links, _uploads, the upload
    beside, blobs = 3, 1 + 2 * 2  # v2, blobs, layerstore; sha256, and for each blob the first two digits and its own
    assert costs.calls["list"] == survey + beside + blobs
    assert costs.calls["stat"] == 2

"""Resuming: whatever became of the saved state, an upload goes on where its bytes end, and ends in the right digest."""

from __future__ import annotations

import gc
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    LayerInvalidDigestError,
    LayerService,
    OffsetMismatchError,
    UnknownUploadError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.hashing import sha256, uploadstate
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest

DATA = Payload("resume").read(200_000)
MORE = Payload("more").read(5000)
WHOLE = 1 << 30

Document = dict[str, Any]


class DataReads:
    """An observer that counts the bytes read back of uploads and blobs, and can be told to do something once."""

    def __init__(self) -> None:
        """Begin counting."""
        self.bytes = 0
        self.trap: tuple[str, str, Callable[[], object]] | None = None

    def before(self, call: Call) -> None:
        """Spring the trap."""
        if self.trap and call.method == self.trap[0] and call.key.endswith(self.trap[1]):
            action, self.trap = self.trap[2], None
            action()

    def after(self, call: Call, result: object) -> None:
        """Count."""
        if call.method == "read_at" and call.key.endswith("/data") and isinstance(result, int):
            self.bytes += result


@pytest.fixture
def reads() -> DataReads:
    """Count."""
    return DataReads()


@pytest.fixture
def store(url: str, reads: DataReads) -> LayerService:
    """Open the store through a driver that is watched."""
    return LayerService(ObservedDriver(open_driver(url), reads))


@pytest.fixture
def keys(url: str) -> layout.UploadKeys:
    """Leave an upload of three chunks behind, closed."""
    with layerstore.open(url).upload("a") as upload:
        for at in range(0, len(DATA), 70_000):
            upload.write(DATA[at : at + 70_000])
            upload.flush()
    return layout.UploadKeys("a", upload.uuid)


def sealed(body: Document) -> bytes:
    """Write a document with the checksum that the format demands."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return json.dumps(body | {"checksum": hashlib.sha256(text.encode()).hexdigest()}).encode()


def opened(document: bytes) -> Document:
    """Read a document, without its checksum."""
    body: Document = json.loads(document)
    del body["checksum"]
    return body


def finish_and_count(store: LayerService, reads: DataReads, keys: layout.UploadKeys) -> int:
    """Resume, write more, finish with the right digest, and return how many bytes were read back until then."""
    upload = store.resume(keys.name, keys.uuid, offset=len(DATA))
    upload.write(MORE)
    upload.finish(digest(DATA + MORE), len(DATA + MORE)).close()
    return reads.bytes


def test_a_good_state_saves_reading(store: LayerService, reads: DataReads, keys: layout.UploadKeys) -> None:
    """With the state as it was saved nothing is read back."""
    assert finish_and_count(store, reads, keys) == 0


def test_the_state_is_the_documented_one(raw: CheckedDriver, keys: layout.UploadKeys) -> None:
    """Format, version, ascending offsets, states of 108 bytes at those, and a checksum over it all."""
    document = raw.get(keys.state, WHOLE)
    body = opened(document)
    assert sealed(body) == document
    assert (body["format"], body["version"]) == ("layerstore-upload-state/1", raw.stat(keys.data).version)
    assert [offset for offset, _ in body["states"]] == [70_000, 140_000, 200_000]
    for offset, state in body["states"]:
        hasher = sha256.restore(b64decode(state))
        hasher.update(DATA[offset:])
        assert f"sha256:{hasher.hexdigest()}" == digest(DATA)


def with_states(change: Callable[[list[Any]], Any]) -> Callable[[bytes], bytes]:
    """Make a document whose states were changed, and whose checksum is right."""

    def changed(document: bytes) -> bytes:
        body = opened(document)
        return sealed(body | {"states": change(body["states"])})

    return changed


def with_members(**members: object) -> Callable[[bytes], bytes]:
    """Make a document with other members, and whose checksum is right."""
    return lambda document: sealed(opened(document) | members)


def without(member: str) -> Callable[[bytes], bytes]:
    """Make a document that lacks a member, and whose checksum is right."""
    return lambda document: sealed({name: value for name, value in opened(document).items() if name != member})


def replaced(state: str, at: int, by: bytes) -> str:
    """Change bytes of a state in base64."""
    plain = b64decode(state)
    return b64encode(plain[:at] + by + plain[at + len(by) :]).decode()


DOUBTFUL: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "garbage": lambda _: b"\xff\x00garbage",
    "zeros": lambda document: bytes(len(document)),
    "cut short": lambda document: document[:-1],
    "too long": lambda document: b" " * uploadstate.MAX_DOCUMENT + document,
    "too deep": lambda _: b"[" * 60_000,
    "a number too long": lambda _: b"9" * 60_000,
    "null": lambda _: b"null",
    "a list": lambda document: b"[" + document + b"]",
    "a text": lambda _: b'"layerstore-upload-state/1"',
    "one digit off": lambda document: document.replace(b"[70000", b"[70001"),
    "one character off": lambda document: document.replace(b"c2hhA", b"c2hhB"),
    "no checksum": lambda document: json.dumps(opened(document)).encode(),
    "another checksum": lambda document: json.dumps(opened(document) | {"checksum": "0" * 64}).encode(),
    "a checksum of another kind": lambda document: json.dumps(opened(document) | {"checksum": None}).encode(),
    "format 2": with_members(format="layerstore-upload-state/2"),
    "format of another program": with_members(format="tus"),
    "no format": without("format"),
    "version of another kind": with_members(version=None),
    "version longer": lambda document: sealed(opened(document) | {"version": opened(document)["version"] + "0"}),
    "no version": without("version"),
    "no states member": without("states"),
    "no states": with_members(states=[]),
    "states of another kind": with_members(states={"ab": 1}),
    "states null": with_members(states=None),
    "states descend": with_states(lambda states: states[::-1]),
    "states repeat": with_states(lambda states: states + states[-1:]),
    "a state that is no pair": with_states(lambda states: [*states, [1, 2, 3]]),
    "a state beyond the end": with_states(
        lambda states: [*states, [200_001, replaced(states[-1][1], 100, (200_001).to_bytes(8))]]
    ),
    "a state at the start": with_states(
        lambda states: [[0, b64encode(b"sha\x03" + b64decode(states[0][1])[4:36] + bytes(72)).decode()], *states]
    ),
    "offset one more": with_states(lambda states: [[offset + 1, state] for offset, state in states]),
    "offset one less": with_states(lambda states: [[offset - 1, state] for offset, state in states]),
    "offset a float": with_states(lambda states: [[float(offset), state] for offset, state in states]),
    "offset a text": with_states(lambda states: [[str(offset), state] for offset, state in states]),
    "offset negative": with_states(lambda states: [[-1, states[0][1]], *states]),
    "offset null": with_states(lambda states: [[None, states[0][1]]]),
    "offsets swapped": with_states(lambda states: [[states[0][0], states[1][1]], *states[1:]]),
    "a state cut short": with_states(lambda states: [[o, b64encode(b64decode(s)[1:]).decode()] for o, s in states]),
    "a state of another program": with_states(lambda states: [[o, replaced(s, 0, b"md5\x01")] for o, s in states]),
    "a state that is not base64": with_states(lambda states: [[o, "*" + s[1:]] for o, s in states]),
    "a state that is not ASCII": with_states(lambda states: [[o, "é" + s[1:]] for o, s in states]),
    "a state null": with_states(lambda states: [[o, None] for o, _ in states]),
    "a state that is a number": with_states(lambda states: [[o, 5] for o, _ in states]),
    "dirty padding": with_states(lambda states: [[o, replaced(s, 99, b"x")] for o, s in states]),
}


@pytest.mark.parametrize("change", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_doubtful_state_is_no_state(
    store: LayerService,
    reads: DataReads,
    raw: CheckedDriver,
    keys: layout.UploadKeys,
    change: Callable[[bytes], bytes],
) -> None:
    """Damaged, foreign or contradicting itself: everything is read back, and no error."""
    document = raw.get(keys.state, WHOLE)
    changed = change(document)
    assert changed != document
    raw.put(keys.state, changed)
    assert finish_and_count(store, reads, keys) == len(DATA + MORE)


def test_a_missing_state_is_no_state(
    store: LayerService, reads: DataReads, raw: CheckedDriver, keys: layout.UploadKeys
) -> None:
    """Killed between a flush and the saving of the state: everything is read back."""
    raw.delete(keys.state)
    assert finish_and_count(store, reads, keys) == len(DATA + MORE)


def test_a_state_that_cannot_be_read_is_no_state(
    store: LayerService, reads: DataReads, keys: layout.UploadKeys
) -> None:
    """A backend that fails there fails nothing else."""

    def fail() -> None:
        raise BackendUnavailableError(keys.state)

    reads.trap = ("open_reader", "/state", fail)
    assert finish_and_count(store, reads, keys) == len(DATA + MORE)


def test_a_stale_state_is_no_state(
    store: LayerService, reads: DataReads, raw: CheckedDriver, keys: layout.UploadKeys
) -> None:
    """The state of an earlier flush describes bytes that may since have been written over."""
    document = raw.get(keys.state, WHOLE)
    with raw.open_writer(keys.data) as writer:
        writer.seek(0)
        writer.write(b"X")
    with store.resume("a", keys.uuid) as upload:
        upload.seek(0)
        upload.write(DATA[:1])
    raw.put(keys.state, document)
    assert finish_and_count(store, reads, keys) == len(DATA + MORE)


def test_bytes_changed_from_outside_are_read_back(
    store: LayerService, reads: DataReads, raw: CheckedDriver, keys: layout.UploadKeys
) -> None:
    """A state that was right once is not believed of another version."""
    with raw.open_writer(keys.data) as writer:
        writer.seek(100_000)
        writer.write(b"X")
    upload, content = store.resume("a", keys.uuid), DATA[:100_000] + b"X" + DATA[100_001:]
    with pytest.raises(LayerInvalidDigestError) as caught:
        upload.finish(digest(DATA))
    assert caught.value.actual == digest(content)
    assert reads.bytes == len(DATA)
    upload.finish(digest(content))


def test_the_longest_document_is_read_whole() -> None:
    """The document of all states that are kept is well below the longest document that is read."""
    states = [(1 << 60, bytes(108))] * 64
    assert len(uploadstate.dump("v" * 200, states)) < uploadstate.MAX_DOCUMENT / 4


def test_the_states_of_a_resumed_upload_are_gone_back_to(
    store: LayerService, reads: DataReads, keys: layout.UploadKeys
) -> None:
    """Resumed, an upload whose last chunk is written anew is read back from no further than that chunk."""
    upload = store.resume("a", keys.uuid)
    upload.seek(140_000)
    upload.write(MORE)
    upload.finish(digest(DATA[:140_000] + MORE + DATA[145_000:]))
    assert reads.bytes == 60_000 - len(MORE)


def test_a_state_is_not_saved_twice(url: str, store: LayerService, raw: CheckedDriver, keys: layout.UploadKeys) -> None:
    """Flushing and closing what has not changed writes nothing."""
    version = raw.stat(keys.state).version
    with store.resume("a", keys.uuid) as upload:
        upload.flush()
    assert raw.stat(keys.state).version == version


def test_a_state_that_was_cut_back_is_saved_anew(store: LayerService, reads: DataReads, raw: CheckedDriver) -> None:
    """After a rewind the saved state is that of the new bytes."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    upload.seek(0)
    upload.write(MORE)
    upload.close()
    upload = store.resume("a", upload.uuid)
    upload.finish(digest(MORE + DATA[len(MORE) :]))
    assert reads.bytes == len(DATA) - len(MORE)


def test_rereading_does_without_a_state(url: str, raw: CheckedDriver, keys: layout.UploadKeys) -> None:
    """A state that was forged with care lies; ``reread`` asks the bytes alone."""
    body = opened(raw.get(keys.state, WHOLE))
    body["states"] = [[o, replaced(s, 4, b"lies")] for o, s in body["states"]]
    raw.put(keys.state, sealed(body))
    with pytest.raises(LayerInvalidDigestError):
        layerstore.open(url).resume("a", keys.uuid).finish(digest(DATA))
    layerstore.open(url, verify="reread").resume("a", keys.uuid).finish(digest(DATA)).close()


def test_a_node_without_an_exportable_hash_reads_back(
    choose: Callable[[str], None], store: LayerService, reads: DataReads, keys: layout.UploadKeys
) -> None:
    """A state that cannot be used is no error."""
    choose("hashlib")
    assert finish_and_count(store, reads, keys) == len(DATA + MORE)


def test_a_node_without_an_exportable_hash_saves_no_state(
    choose: Callable[[str], None], store: LayerService, reads: DataReads, raw: CheckedDriver
) -> None:
    """It hashes on the way in all the same: what it finishes itself is not read back."""
    choose("hashlib")
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    assert raw.find(layout.UploadKeys("a", upload.uuid).state) is None
    upload.finish(digest(DATA))
    assert reads.bytes == 0


def test_a_wrong_offset_is_answered_with_the_right_one(store: LayerService, keys: layout.UploadKeys) -> None:
    """The error tells where to go on, and going on there works."""
    with pytest.raises(OffsetMismatchError) as caught:
        store.resume("a", keys.uuid, offset=len(DATA) - 1)
    assert (caught.value.expected, caught.value.actual) == (len(DATA) - 1, len(DATA))
    assert store.resume("a", keys.uuid, offset=caught.value.actual).tell() == len(DATA)


def test_an_upload_that_never_was_is_unknown(store: LayerService, raw: CheckedDriver) -> None:
    """Asking for it makes nothing."""
    uuid = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(UnknownUploadError) as caught:
        store.resume("a", uuid)
    with pytest.raises(UnknownUploadError):
        store.cancel("a", uuid)
    assert (caught.value.name, caught.value.uuid) == ("a", uuid)
    assert list(raw.list("")) == []


def test_an_upload_of_another_repository_is_unknown(store: LayerService, keys: layout.UploadKeys) -> None:
    """An id is looked for in its repository."""
    with pytest.raises(UnknownUploadError):
        store.resume("b", keys.uuid)
    assert store.resume("a", keys.uuid).tell() == len(DATA)


@pytest.mark.parametrize("ending", ["finish", "cancel", "service"])
def test_an_upload_that_is_gone_is_unknown(store: LayerService, keys: layout.UploadKeys, ending: str) -> None:
    """Finished or cancelled, it cannot be resumed, and not be cancelled again."""
    if ending == "finish":
        store.resume("a", keys.uuid).finish(digest(DATA))
    elif ending == "cancel":
        store.resume("a", keys.uuid).cancel()
    else:
        store.cancel("a", keys.uuid)
    for action in (store.resume, store.cancel):
        with pytest.raises(UnknownUploadError):
            action("a", keys.uuid)


def test_an_upload_that_goes_while_it_is_resumed_is_unknown(
    url: str, store: LayerService, reads: DataReads, raw: CheckedDriver, keys: layout.UploadKeys
) -> None:
    """Cancelled after its beginning was read, it leaves nothing behind."""
    reads.trap = ("open_writer", "/data", lambda: layerstore.open(url).cancel("a", keys.uuid))
    with pytest.raises(UnknownUploadError):
        store.resume("a", keys.uuid)
    assert list(keys_below(raw, layout.ROOT)) == []


def test_an_upload_whose_data_is_lost_is_gone(store: LayerService, raw: CheckedDriver, keys: layout.UploadKeys) -> None:
    """A finish had begun, and neither data nor blob is left: there is nothing to go on with."""
    raw.put(keys.intent(layerstore.Digest.parse(digest(DATA))), b"")
    raw.delete(keys.data)
    with pytest.raises(UnknownUploadError):
        store.resume("a", keys.uuid)
    store.cancel("a", keys.uuid)
    assert list(keys_below(raw, layout.ROOT)) == []


def test_an_upload_of_which_nothing_was_flushed_is_resumed_at_its_start(store: LayerService) -> None:
    """Begun, closed by one and dropped by another before its flush, it is there, and empty."""
    with store.upload("a") as upload:
        pass
    upload = store.resume("a", upload.uuid)
    upload.write(DATA)
    uuid = upload.uuid
    del upload
    gc.collect()
    upload = store.resume("a", uuid, offset=0)
    upload.write(MORE)
    assert upload.finish(digest(MORE)).read() == MORE


def test_a_resume_that_fails_gives_its_writer_back(url: str, reads: DataReads, keys: layout.UploadKeys) -> None:
    """Interrupted while the state is read, it leaves no writer open."""
    writers = []

    class Remembering(ObservedDriver):
        def open_writer(self, key: str) -> layerstore.Writer:
            writers.append(super().open_writer(key))
            return writers[-1]

    def interrupt() -> None:
        raise KeyboardInterrupt

    reads.trap = ("open_reader", "/state", interrupt)
    with pytest.raises(KeyboardInterrupt):
        LayerService(Remembering(open_driver(url), reads)).resume("a", keys.uuid)
    assert [writer.closed for writer in writers] == [True]

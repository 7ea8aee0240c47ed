"""An upload as a file object: what it takes, where it is, and what closing, cancelling and dropping it do."""

from __future__ import annotations

import array
import ctypes
import gc
import io
import mmap
import os
import random
import shutil
import subprocess
import sys
import tarfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    FencedError,
    InvalidOffsetError,
    LayerClosedError,
    LayerExistsError,
    LayerInvalidDigestError,
    LayerService,
    LayerUpload,
    NoSpaceError,
    PathNotFoundError,
    UnknownUploadError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.hashing.cursor import BLOCK, OVERLAP
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import Call, Counts, ObservedDriver
from layerstore_conformance.kit.payloads import Payload, difference, digest
from layerstore_conformance.steps.watching import Trap, of

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

DATA = Payload("upload").read(3 * BLOCK + 777)
SMALL = Payload("small").read(1000)
WHOLE = 1 << 30
SIZES = (0, 1, 1000, OVERLAP - 1, OVERLAP, BLOCK, BLOCK + 1, len(DATA))


@pytest.fixture
def store(url: str) -> LayerService:
    """Open it."""
    return layerstore.open(url)


def once(method: str, part: str, action: Callable[[], object]) -> Trap:
    """Make an observer that acts once, before the first call of a method on a key that contains ``part``."""
    trap = Trap()
    trap.set(of(method, part), action)
    return trap


def refuse(error: Exception) -> Callable[[], None]:
    """Make an action that raises."""

    def action() -> None:
        raise error

    return action


def stored(raw: CheckedDriver, upload: LayerUpload) -> bytes:
    """Return what is published of an upload."""
    return raw.get(layout.UploadKeys(upload.name, upload.uuid).data, WHOLE)


def check_finish(upload: LayerUpload, content: bytes) -> None:
    """Finish with the digest of some bytes, and check that the layer is those."""
    with upload.finish(digest(content), len(content)) as layer:
        found = layer.read()
    assert found == content, difference(content, found)


def test_an_upload_says_what_it_is(store: LayerService) -> None:
    """Name, id and size; written and seekable, never read."""
    upload = store.upload("a/b")
    upload.write(SMALL)
    assert (upload.name, layout.check_uuid(upload.uuid), upload.size) == ("a/b", upload.uuid, len(SMALL))
    assert (upload.writable(), upload.seekable(), upload.readable()) == (True, True, False)
    assert repr(upload) == f"<LayerUpload a/b {upload.uuid} 1000 bytes>"


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_becomes_the_layer(store: LayerService, size: int) -> None:
    """Written at once, from no byte to several blocks."""
    upload = store.upload("a")
    assert upload.write(DATA[:size]) == size
    assert (upload.tell(), upload.size) == (size, size)
    check_finish(upload, DATA[:size])


@pytest.mark.parametrize("seed", range(4))
def test_writes_of_any_size_follow_each_other(store: LayerService, seed: int) -> None:
    """Small ones, that are gathered, and large ones, that overlap, in any order."""
    upload, draw, at = store.upload("a"), random.Random(seed), 0
    while at < len(DATA):
        at += upload.write(DATA[at : at + draw.choice((1, 5000, 70_000, OVERLAP, 400_000))])
    check_finish(upload, DATA)


def mapped(data: bytes) -> mmap.mmap:
    """Return memory that is no bytes, and can be written."""
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


BUFFERS: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": lambda data: memoryview(bytearray(b"xx" + data))[2:],
    "memoryview of bytes": lambda data: memoryview(b"xx" + data)[2:],
    "array": lambda data: array.array("I", data),
    "matrix": lambda data: memoryview(data).cast("B", (2, len(data) // 2)),
    "mmap": mapped,
    "ctypes": lambda data: (ctypes.c_char * len(data)).from_buffer_copy(data),
}


@pytest.mark.parametrize("size", [1000, BLOCK + 8])
@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_any_contiguous_buffer_is_written_by_its_bytes(
    store: LayerService, make: Callable[[bytes], Any], size: int
) -> None:
    """Lengths are in bytes, whatever the items of the buffer are."""
    upload = store.upload("a")
    assert upload.write(make(DATA[:size])) == size
    check_finish(upload, DATA[:size])


@pytest.mark.parametrize("data", [memoryview(b"abcdef")[::2], memoryview(b"abc")[::-1], "text", 5, None])
def test_what_is_no_contiguous_buffer_is_refused(store: LayerService, data: Buffer) -> None:
    """It is refused before anything is written."""
    upload = store.upload("a")
    with pytest.raises(TypeError):
        upload.write(data)
    check_finish(upload, b"")


@pytest.mark.parametrize("size", [1000, OVERLAP, BLOCK + 5])
def test_a_buffer_is_the_callers_again(store: LayerService, size: int) -> None:
    """A change of the buffer after ``write`` returned changes neither the stored nor the hashed bytes."""
    upload, buffer = store.upload("a"), bytearray(DATA[:size])
    upload.write(buffer)
    buffer[:] = bytes(size)
    buffer.clear()  # that nothing holds on to it
    check_finish(upload, DATA[:size])


@pytest.mark.parametrize("size", [1000, OVERLAP, BLOCK + 5])
def test_a_buffer_that_changes_while_it_is_written_is_hashed_as_stored(url: str, raw: CheckedDriver, size: int) -> None:
    """Another thread's change gets into both or neither: what is accepted reads back to its digest."""
    buffer = bytearray(DATA[:size])

    def scribble() -> None:
        buffer[:] = bytes(len(buffer))

    upload = LayerService(ObservedDriver(open_driver(url), once("write_at", "/data", scribble))).upload("a")
    upload.write(buffer)
    wanted = upload.digest()
    upload.flush()
    assert str(wanted) == digest(stored(raw, upload))
    upload.finish(wanted)


def test_a_position_is_moved_from_the_start_the_position_and_the_end(store: LayerService) -> None:
    """As in any file, beyond the end too."""
    upload = store.upload("a")
    upload.write(SMALL)
    assert [upload.seek(10), upload.seek(5, os.SEEK_CUR), upload.seek(-1, os.SEEK_END)] == [10, 15, 999]
    assert (upload.seek(5000), upload.tell(), upload.size) == (5000, 5000, 1000)


def test_there_is_nothing_before_the_start(store: LayerService) -> None:
    """A seek to a negative offset is refused, and the position stays."""
    upload = store.upload("a")
    upload.write(SMALL)
    with pytest.raises(InvalidOffsetError, match="seek to -1"):
        upload.seek(-1001, os.SEEK_END)
    assert upload.tell() == 1000


def test_a_seek_from_nowhere_is_refused(store: LayerService) -> None:
    """There are three places to seek from."""
    with pytest.raises(ValueError, match="whence is 0, 1 or 2, not 7"):
        store.upload("a").seek(0, 7)


def test_a_gap_reads_as_zeros(store: LayerService) -> None:
    """A write beyond the end leaves zeros before it; a seek alone leaves nothing."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.seek(5000)
    upload.write(SMALL)
    upload.seek(9000)
    upload.write(b"")
    check_finish(upload, SMALL + bytes(4000) + SMALL)


def test_a_gap_that_is_filled_later_is_whole(store: LayerService) -> None:
    """Parts may come in any order."""
    upload = store.upload("a")
    for at in (2 * BLOCK, 0, BLOCK):
        upload.seek(at)
        upload.write(DATA[at : at + BLOCK])
    check_finish(upload, DATA[: 3 * BLOCK])


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_seeks_writes_and_flushes_ends_in_the_right_layer(store: LayerService, seed: int) -> None:
    """Going back, over and beyond, the bytes are those that a file would hold."""
    upload, model, draw = store.upload("a"), io.BytesIO(), random.Random(seed)
    for _ in range(12):
        upload.seek(model.seek(draw.choice((0, draw.randrange(BLOCK), upload.size, upload.size + 3))))
        part = DATA[: draw.choice((1, 3000, 66_000, OVERLAP, BLOCK + 9))]
        model.write(part)
        upload.write(part)
        if draw.random() < 0.3:
            upload.flush()
    check_finish(upload, model.getvalue())


def test_a_buffered_writer_takes_an_upload(store: LayerService) -> None:
    """An upload is the raw end of an ``io.BufferedWriter``, whose closing closes it and keeps it resumable."""
    upload = store.upload("a")
    with io.BufferedWriter(upload, 4096) as buffered:
        for at in range(0, 10_000, 100):
            buffered.write(DATA[at : at + 100])
    assert upload.closed
    check_finish(store.resume("a", upload.uuid), DATA[:10_000])


def test_tarfile_writes_an_upload(store: LayerService) -> None:
    """An upload is the file object that ``tarfile`` writes to."""
    upload, member = store.upload("a"), tarfile.TarInfo("one")
    member.size = len(SMALL)
    with tarfile.open(fileobj=upload, mode="w") as archive:
        archive.addfile(member, io.BytesIO(SMALL))
    with upload.finish(upload.digest()) as layer, tarfile.open(fileobj=layer) as archive:
        assert archive.getnames() == ["one"]


def test_shutil_copies_into_an_upload(store: LayerService) -> None:
    """An upload is a target for ``shutil.copyfileobj``."""
    upload = store.upload("a")
    shutil.copyfileobj(io.BytesIO(DATA), upload)
    check_finish(upload, DATA)


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_is_copied_from(store: LayerService, size: int) -> None:
    """``read_from`` writes all that a stream holds, and tells how much."""
    upload = store.upload("a")
    assert upload.read_from(io.BytesIO(DATA[:size])) == size
    check_finish(upload, DATA[:size])


def test_a_stream_is_copied_to_the_position(store: LayerService) -> None:
    """``read_from`` goes on where the upload is, over what is there and beyond."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.seek(10)
    assert upload.read_from(io.BytesIO(DATA)) == len(DATA)
    assert upload.tell() == len(DATA) + 10
    check_finish(upload, SMALL[:10] + DATA)


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, or none yet, or fails."""

    def __init__(self, *steps: int | Exception | None) -> None:
        """Give so many bytes at each step, and then the rest."""
        super().__init__()
        self.steps, self.stream = list(steps), io.BytesIO(DATA)

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        """Do the next step."""
        view = memoryview(buffer)
        step = self.steps.pop(0) if self.steps else len(view)
        if isinstance(step, Exception):
            raise step
        return step if step is None else self.stream.readinto(view[:step])


class OnlyRead:
    """A stream that has nothing but ``read``, as an HTTP response may."""

    def __init__(self, *steps: int | Exception | None) -> None:
        """Give what a trickle gives."""
        self.inner = Trickle(*steps)

    def read(self, size: int) -> bytes | None:
        """Read at most so many bytes; None where there is nothing yet."""
        return self.inner.read(size)


@pytest.mark.parametrize("kind", [Trickle, OnlyRead])
def test_a_stream_may_give_few_bytes_at_a_time(store: LayerService, kind: type[Trickle | OnlyRead]) -> None:
    """Short reads are no end, and need no ``readinto``."""
    upload = store.upload("a")
    assert upload.read_from(kind(1, 70_000, OVERLAP, 3, 400_000, 400_000)) == len(DATA)
    check_finish(upload, DATA)


@pytest.mark.parametrize("kind", [Trickle, OnlyRead])
def test_a_stream_that_has_nothing_now_is_no_stream_at_its_end(
    store: LayerService, kind: type[Trickle | OnlyRead]
) -> None:
    """The bytes read before are written, and the rest can follow."""
    upload, stream = store.upload("a"), kind(1000, 60_000, None)
    with pytest.raises(BlockingIOError):
        upload.read_from(stream)
    assert upload.tell() == 61_000
    upload.read_from(stream)
    check_finish(upload, DATA)


@pytest.mark.parametrize("kind", [Trickle, OnlyRead])
def test_a_stream_that_fails_leaves_what_came_before(store: LayerService, kind: type[Trickle | OnlyRead]) -> None:
    """Its error comes through as it is; the upload stays open and can be gone on with."""
    upload, stream = store.upload("a"), kind(1000, 60_000, 200_000, BLOCK, ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError, match="gone"):
        upload.read_from(stream)
    assert (upload.tell(), upload.closed) == (261_000 + BLOCK, False)
    upload.read_from(stream)
    check_finish(upload, DATA)


def test_nothing_is_seen_before_a_flush(store: LayerService, raw: CheckedDriver) -> None:
    """Written bytes are stored when ``flush`` returns, and not sooner."""
    upload = store.upload("a")
    upload.write(SMALL)
    with pytest.raises(PathNotFoundError):
        stored(raw, upload)
    upload.flush()
    assert stored(raw, upload) == SMALL


def test_the_digest_so_far_is_told(store: LayerService, raw: CheckedDriver) -> None:
    """``digest`` tells what finish would take, ends nothing, and needs no flush where all was hashed on its way in."""
    upload = store.upload("a")
    upload.write(SMALL)
    assert str(upload.digest()) == digest(SMALL)
    upload.write(DATA)
    assert str(upload.digest()) == digest(SMALL + DATA)
    assert list(keys_below(raw, layout.ROOT)) == []
    upload.seek(0)
    upload.write(b"x")
    assert str(upload.digest()) == digest(b"x" + SMALL[1:] + DATA)
    assert stored(raw, upload) == b"x" + SMALL[1:] + DATA


def test_a_closed_upload_is_resumable(url: str, store: LayerService) -> None:
    """``close`` stores what was written; whoever resumes goes on at its end."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.close()
    again = layerstore.open(url).resume("a", upload.uuid)
    assert (upload.closed, again.tell(), again.started_at) == (True, 1000, upload.started_at)
    again.write(DATA)
    check_finish(again, SMALL + DATA)


def test_leaving_a_with_block_keeps_the_upload_resumable(store: LayerService) -> None:
    """Also by an exception: what was written so far is not lost."""
    with pytest.raises(KeyError), store.upload("a") as upload:  # noqa: PT012  (what is left is what is tested)
        upload.write(SMALL)
        raise KeyError
    assert upload.closed
    check_finish(store.resume("a", upload.uuid), SMALL)


def test_leaving_a_with_block_after_finish_does_nothing(store: LayerService) -> None:
    """A finished upload is closed already, and stays finished."""
    with store.upload("a") as upload:
        upload.write(SMALL)
        upload.finish(digest(SMALL))
    assert store.exists("a", digest(SMALL))
    assert list(store.uploads()) == []


ENDINGS = ("close", "cancel", "finish")


@pytest.mark.parametrize("second", ["close", "cancel"])
@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("zeroth", ENDINGS)
def test_endings_follow_each_other(
    store: LayerService, raw: CheckedDriver, zeroth: str, first: str, second: str
) -> None:
    """Closed, cancelled or finished, in any order and again, an upload is what the first that counts made it."""
    upload = store.upload("a")
    upload.write(SMALL)
    done: list[str] = []
    for ending in (zeroth, first, second, second):
        if ending != "finish":
            getattr(upload, ending)()
        elif done in ([], ["finish"]):
            upload.finish(digest(SMALL))
        else:
            with pytest.raises(LayerClosedError):
                upload.finish(digest(SMALL))
        done.append(ending)
    finished, cancelled = zeroth == "finish", "cancel" in done
    assert store.exists("a", digest(SMALL)) is finished
    assert [info.uuid for info in store.uploads()] == ([] if finished or cancelled else [upload.uuid])


def test_cancel_leaves_nothing(store: LayerService, raw: CheckedDriver) -> None:
    """Not a key of the upload is left, nor comes back when the handle is closed and collected."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    upload.write(SMALL)
    upload.cancel()
    upload.close()
    del upload
    gc.collect()
    assert list(keys_below(raw, layout.ROOT)) == []


def test_cancel_by_the_service_takes_the_upload_from_its_handle(store: LayerService, raw: CheckedDriver) -> None:
    """An open handle on it finds it gone, and leaves nothing behind."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.flush()
    store.cancel("a", upload.uuid)
    upload.write(SMALL)
    with pytest.raises(UnknownUploadError) as caught:
        upload.flush()
    assert (caught.value.uuid, upload.closed) == (upload.uuid, True)
    assert list(keys_below(raw, layout.ROOT)) == []


@pytest.mark.parametrize("ending", ["flush", "close", "finish"])
@pytest.mark.parametrize("size", [0, 1000])
def test_an_upload_that_is_gone_is_unknown(store: LayerService, raw: CheckedDriver, ending: str, size: int) -> None:
    """Cancelled elsewhere, with or without anything to store, an upload is unknown to whatever comes next."""
    upload = store.upload("a")
    upload.write(SMALL[:size])
    upload.flush()
    store.cancel("a", upload.uuid)
    with pytest.raises(UnknownUploadError):
        getattr(upload, ending)(*[digest(SMALL)] * (ending == "finish"))
    upload.close()
    assert list(keys_below(raw, layout.ROOT)) == []


def test_the_digest_of_an_upload_that_is_gone_is_that_of_what_was_hashed(store: LayerService) -> None:
    """Where bytes have to be read back, the upload is unknown."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.flush()
    store.cancel("a", upload.uuid)
    assert str(upload.digest()) == digest(SMALL)
    upload.seek(10)
    upload.write(b"x")
    with pytest.raises(UnknownUploadError):
        upload.digest()


@pytest.mark.parametrize("ending", ["flush", "close", "digest", "finish"])
def test_an_upload_that_was_resumed_elsewhere_is_fenced(store: LayerService, raw: CheckedDriver, ending: str) -> None:
    """The later handle has it; the earlier one says so, and changes nothing."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.flush()
    later = store.resume("a", upload.uuid)
    upload.seek(1000 if ending != "digest" else 0)  # where it has to be read back
    upload.write(b"lost")
    with pytest.raises(FencedError):
        getattr(upload, ending)(*[digest(SMALL)] * (ending == "finish"))
    assert stored(raw, upload) == SMALL
    check_finish(later, SMALL)


def test_a_failed_close_closes(store: LayerService) -> None:
    """Fenced, a handle is closed all the same, and closing it again does nothing."""
    upload = store.upload("a")
    upload.flush()
    later = store.resume("a", upload.uuid)
    with pytest.raises(FencedError):
        upload.close()
    upload.close()
    assert upload.closed
    check_finish(later, b"")


def test_a_state_that_comes_too_late_goes_again(url: str, store: LayerService, raw: CheckedDriver) -> None:
    """Cancelled between a flush and the saving of its state, an upload leaves nothing."""
    cancel = once("put", "/state", lambda: store.cancel("a", upload.uuid))
    upload = LayerService(ObservedDriver(open_driver(url), cancel)).upload("a")
    upload.write(SMALL)
    with pytest.raises(UnknownUploadError):
        upload.flush()
    assert cancel.sprung
    assert list(keys_below(raw, layout.ROOT)) == []


def test_a_state_that_cannot_be_saved_is_no_failure(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """It costs a second reading; a warning names the upload, and the next flush saves it."""
    failure = once("put", "/state", refuse(NoSpaceError("k")))
    store = LayerService(ObservedDriver(open_driver(url), failure))
    upload = store.upload("a")
    upload.write(SMALL)
    upload.flush()
    assert upload.uuid in caplog.text
    assert store.driver.find(layout.UploadKeys("a", upload.uuid).state) is None
    upload.flush()
    assert store.driver.find(layout.UploadKeys("a", upload.uuid).state) is not None


class NoRoomForStates:
    """An observer that refuses every state, and knows which writers are alive."""

    def __init__(self) -> None:
        """Know none yet."""
        self.writers: weakref.WeakSet[Any] = weakref.WeakSet()

    def before(self, call: Call) -> None:
        """Refuse a state, with an error of its own each time."""
        if call.method == "put" and call.key.endswith("/state"):
            raise NoSpaceError(call.key)

    def after(self, call: Call, result: object) -> None:
        """Remember a writer for as long as somebody else does."""
        if call.method == "open_writer":
            self.writers.add(result)


def test_a_warning_that_is_kept_keeps_no_writer(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that keeps log records keeps text, and not the objects of an error's traceback (clause T4)."""
    observer = NoRoomForStates()
    upload = LayerService(ObservedDriver(open_driver(url), observer)).upload("a")
    upload.write(SMALL)
    upload.flush()
    assert len(observer.writers) == 1
    del upload
    gc.collect()
    assert caplog.records
    assert not observer.writers


CLOSED: dict[str, Callable[[LayerUpload], Any]] = {
    "write": lambda upload: upload.write(b"x"),
    "write nothing": lambda upload: upload.write(b""),
    "read_from": lambda upload: upload.read_from(io.BytesIO(b"x")),
    "seek": lambda upload: upload.seek(0),
    "tell": lambda upload: upload.tell(),
    "flush": lambda upload: upload.flush(),
    "digest": lambda upload: upload.digest(),
    "finish": lambda upload: upload.finish(digest(b"x")),
    "with": lambda upload: upload.__enter__(),
}


@pytest.mark.parametrize("ending", ["close", "cancel"])
@pytest.mark.parametrize("action", CLOSED.values(), ids=CLOSED)
def test_a_closed_upload_refuses(store: LayerService, action: Callable[[LayerUpload], Any], ending: str) -> None:
    """Closed or cancelled, an upload is a closed file."""
    upload = store.upload("a")
    getattr(upload, ending)()
    with pytest.raises(ValueError, match="closed"):
        action(upload)
    assert upload.closed


def test_a_dropped_upload_publishes_nothing(store: LayerService, raw: CheckedDriver) -> None:
    """Collected without ``close``, a handle takes what was written since the last flush with it."""
    upload = store.upload("a")
    upload.write(SMALL)
    upload.flush()
    upload.write(DATA)
    uuid = upload.uuid
    del upload
    gc.collect()
    assert raw.get(layout.UploadKeys("a", uuid).data, WHOLE) == SMALL
    assert store.resume("a", uuid).tell() == 1000


def test_an_upload_whose_constructor_failed_is_collected_quietly(recwarn: pytest.WarningsRecorder) -> None:
    """There is nothing to give back yet, and no message without a traceback to follow."""
    with pytest.raises(TypeError):
        LayerUpload()  # type: ignore[call-arg]  # that it fails is the point
    assert not recwarn.list


def test_a_full_backend_loses_nothing(url: str) -> None:
    """A refused write leaves the position and the size, and can be repeated."""
    full = once("write_at", "/data", refuse(NoSpaceError("k")))
    upload = LayerService(ObservedDriver(open_driver(url), full)).upload("a")
    upload.write(SMALL)
    with pytest.raises(NoSpaceError):
        upload.write(DATA[:BLOCK])
    assert (upload.tell(), upload.size) == (1000, 1000)
    upload.write(DATA[:BLOCK])
    check_finish(upload, SMALL + DATA[:BLOCK])


@pytest.mark.parametrize("ending", ["flush", "finish"])
@pytest.mark.parametrize("size", [1000, OVERLAP, BLOCK - 1])
def test_what_a_full_backend_refused_stays_gathered(url: str, size: int, ending: str) -> None:
    """An earlier write has returned: what refuses its bytes can be repeated, and none of them is missing then."""
    full = once("write_at", "/data", refuse(NoSpaceError("k")))
    upload = LayerService(ObservedDriver(open_driver(url), full), verify="reread").upload("a")
    upload.write(DATA[:size])
    with pytest.raises(NoSpaceError):
        upload.flush() if ending == "flush" else upload.finish(digest(DATA[:size]))
    assert (upload.tell(), upload.size) == (size, size)
    upload.write(SMALL)
    check_finish(upload, DATA[:size] + SMALL)


@pytest.mark.parametrize("size", [1000, OVERLAP, BLOCK])
def test_a_rewrite_that_was_refused_half_way_is_read_back(url: str, raw: CheckedDriver, size: int) -> None:
    """Which bytes are there after an error nobody knows: none of them is believed to be hashed."""

    class Torn(ObservedDriver):
        armed = False

        def watch(self, call: Call, action: Callable[[], T]) -> T:
            result = action()
            if self.armed and call.method == "write_at":
                raise BackendUnavailableError(call.key)  # although it has written
            return result

    driver = Torn(open_driver(url), Counts.zero())
    upload = LayerService(driver).upload("a")
    upload.write(DATA)
    upload.seek(999)
    driver.armed = True
    with pytest.raises(BackendUnavailableError):  # noqa: PT012  (the write if it is large, else the flush)
        upload.write(bytes(size))
        upload.flush()
    driver.armed = False
    wanted = upload.digest()
    upload.flush()
    assert str(wanted) == digest(stored(raw, upload))


def test_an_upload_of_a_layer_that_is_there_is_not_begun(store: LayerService, raw: CheckedDriver) -> None:
    """An upload of an expected layer that is there already is refused, and leaves nothing."""
    check_finish(store.upload("a", expected=digest(SMALL)), b"")
    upload = store.upload("a", expected=digest(SMALL))
    upload.write(SMALL)
    check_finish(upload, SMALL)
    with pytest.raises(LayerExistsError) as caught:
        store.upload("a", expected=digest(SMALL))
    assert (caught.value.name, caught.value.digest) == ("a", digest(SMALL))
    assert list(store.uploads()) == []
    assert store.upload("b", expected=digest(SMALL)).tell() == 0


def test_an_expected_digest_is_not_taken_for_the_one_to_finish_with(store: LayerService) -> None:
    """The expected digest is no promise: the digest given to finish is the one that the bytes must have."""
    upload = store.upload("a", expected=digest(SMALL))
    upload.write(DATA)
    with pytest.raises(LayerInvalidDigestError):
        upload.finish(digest(SMALL))
    check_finish(upload, DATA)


FORKING = """
import io, os, signal, sys, threading
import layerstore
from layerstore.hashing import cursor, sha256
from layerstore_conformance.kit.payloads import Payload, digest

gate, new, data = threading.Event(), sha256.new, Payload("fork").read(1 << 20)

class Held:  # a hasher that is at work while the process forks
    def __init__(self, inner): self.inner = inner
    def update(self, data): gate.wait(); self.inner.update(data)
    def copy(self): return Held(self.inner.copy())
    def __getattr__(self, name): return getattr(self.inner, name)

sha256.new = lambda: Held(new())
store = layerstore.open(sys.argv[1])
done = store.upload("a")
layer = done.finish(digest(b""))
upload = store.upload("a")
for _ in range(cursor.BACKLOG):
    upload.write(data)
child = os.fork()
if not child:
    signal.alarm(10)  # a child that waits for a thread it does not have is killed, which the parent reports
    calls = {
        "write": lambda: upload.write(data), "write little": lambda: upload.write(b"x"),
        "read_from": lambda: upload.read_from(io.BytesIO(b"x")), "writelines": lambda: upload.writelines([b"x"]),
        "seek": lambda: upload.seek(0), "tell": upload.tell, "flush": upload.flush, "digest": upload.digest,
        "finish": lambda: upload.finish(digest(data)), "cancel": upload.cancel, "close": upload.close,
        "finish again": lambda: done.finish(digest(b"")), "cancel what is finished": done.cancel,
        "read": layer.read, "read a little": lambda: layer.read(1), "readinto": lambda: layer.readinto(bytearray(1)),
        "readline": layer.readline, "seek in a layer": lambda: layer.seek(0), "tell of a layer": layer.tell,
    }
    passed = []
    for name, action in calls.items():
        try:
            action()
            passed.append(name)
        except layerstore.LayerClosedError:
            pass
    for each in (upload, done, layer):
        each.close()
    print(passed, flush=True)
    del upload, done, layer, each, calls, action
    os._exit(0)
status = os.waitpid(child, 0)[1]
gate.set()
assert layer.read() == b""
upload.write(b"and on")
upload.finish(digest(data * cursor.BACKLOG + b"and on"))
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("scheme", ["memory", "local"])
def test_a_forked_childs_copy_of_an_upload_refuses(tmp_path: Path, scheme: str) -> None:
    """A child neither waits for the thread that only its parent has, nor takes anything away from its parent."""
    url = f"local://{tmp_path}/store" if scheme == "local" else "memory:"
    run = subprocess.run([sys.executable, "-c", FORKING, url], capture_output=True, text=True, check=False, timeout=60)
    assert run.stdout.splitlines() == ["[]", "0"], run.stderr

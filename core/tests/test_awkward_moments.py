"""Interrupted, cut off, raced, out of threads: what an attack on the theorem found, and what holds since."""

from __future__ import annotations

import ctypes
import hashlib
import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    Digest,
    FencedError,
    InvalidArchiveError,
    LayerExistsError,
    LayerService,
    LayerUpload,
    Reader,
    UnknownUploadError,
    UnsupportedDigestError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.threads import lanes
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver, PassingReader
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, fail, of

DATA = Payload("awkward").read(5000)
LARGE = Payload("large").read(600_000)


@pytest.fixture
def trap() -> Trap:
    """Lie in wait after a call."""
    return Trap("after")


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it."""
    return LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))


def moved(store: LayerService, trap: Trap, content: bytes = DATA) -> LayerUpload:
    """Cut a finish off just after its move, and resume."""
    upload = store.upload("a")
    upload.write(content)
    upload.flush()
    trap.set(of("move"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(content))
    return store.resume("a", upload.uuid)


def interrupt() -> NoReturn:
    """Be a Ctrl-C."""
    raise KeyboardInterrupt


def time_out() -> NoReturn:
    """Be a signal handler that raises an error of the operating system's."""
    raise TimeoutError


@pytest.mark.parametrize("how", [interrupt, time_out])
def test_a_write_interrupted_after_it_was_stored_is_not_forgotten(
    store: LayerService, trap: Trap, how: Callable[[], NoReturn]
) -> None:
    """Nobody knows how much is stored after that: a finish looks, and accepts nothing else than what it finds."""
    upload, data = store.upload("a"), Payload("block").read(1 << 20)
    upload.flush()
    trap.set(of("write_at"), how)
    with suppress(KeyboardInterrupt, layerstore.DriverError):
        upload.write(data)
    upload.write(b"shorter")
    with pytest.raises(BackendUnavailableError, match=f"{len(data)} bytes are stored, 7 were written"):
        upload.finish(digest(b"shorter"), 7)
    upload.close()
    resumed = store.resume("a", upload.uuid)
    assert resumed.finish(digest(b"shorter" + data[7:])).read() == b"shorter" + data[7:]


@pytest.mark.parametrize("how", [interrupt, time_out])
@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
def test_what_was_gathered_is_stored_again_after_an_interruption(
    store: LayerService, trap: Trap, how: Callable[[], NoReturn], data: bytes
) -> None:
    """Gathered bytes stay gathered until they are certainly stored; the next write goes over them."""
    upload = store.upload("a")
    upload.write(data)
    trap.set(of("write_at"), how)
    with suppress(KeyboardInterrupt, layerstore.DriverError):
        upload.flush()
    upload.seek(0)
    upload.write(b"shorter")
    wanted = b"shorter" + data[7:]
    assert upload.size == len(data)
    assert upload.finish(digest(wanted), len(data)).read() == wanted


def test_a_write_that_failed_half_way_is_repeated_whole(store: LayerService, trap: Trap) -> None:
    """The position is where it was, so that writing the same bytes again repeats none of them."""
    upload, data = store.upload("a"), Payload("twice").read(3 << 20)
    trap.set(lambda at, _: at == 1, fail)
    with pytest.raises(BackendUnavailableError):
        upload.write(data)
    assert upload.tell() == 0
    upload.write(data)
    assert upload.finish(digest(data)).size == len(data)


def test_a_cancelled_upload_that_had_moved_is_not_finished(store: LayerService, trap: Trap) -> None:
    """A cancelled upload stays cancelled, with handles open on it, also after its data has become a blob."""
    upload = moved(store, trap)
    store.cancel("a", upload.uuid)
    with pytest.raises(UnknownUploadError):
        upload.finish(digest(DATA))
    assert not store.exists("a", digest(DATA))


def test_what_a_cancel_cut_off_has_left_goes_with_the_next_try(
    store: LayerService, trap: Trap, raw: CheckedDriver
) -> None:
    """Cut off after its first step, a cancel has removed the upload; cancelling it again removes the rest."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.close()
    trap.set(of("delete"), fail)
    with pytest.raises(BackendUnavailableError):
        store.cancel("a", upload.uuid)
    with pytest.raises(UnknownUploadError):
        store.resume("a", upload.uuid)  # which changes nothing: it may be somebody's who has not flushed it yet
    assert list(keys_below(raw, layout.ROOT)) != []
    with pytest.raises(UnknownUploadError):
        store.cancel("a", upload.uuid)
    assert list(keys_below(raw, layout.ROOT)) == []


def test_a_state_whose_saving_failed_does_not_outlive_a_cancel(
    store: LayerService, trap: Trap, raw: CheckedDriver
) -> None:
    """A put that was not acknowledged may have come after the cancel: then it must go too."""
    upload = store.upload("a")
    upload.write(DATA)

    def cancelled() -> None:
        layerstore.LayerService(raw).cancel("a", upload.uuid)
        raw.put(layout.UploadKeys("a", upload.uuid).state, b"late")
        fail()

    trap.set(of("put", "/state"), cancelled)
    with pytest.raises(UnknownUploadError):
        upload.flush()
    assert list(keys_below(raw, layout.ROOT)) == []


def test_without_a_thread_to_be_had_hashing_goes_on(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a limit of threads, or while the interpreter ends, an upload is slower and nothing else."""

    def refuse(*_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(lanes, "_threads", lanes._Threads())
    monkeypatch.setattr(lanes, "start_new_thread", refuse)
    upload = store.upload("a")
    upload.write(LARGE)
    upload.write(LARGE)
    assert upload.finish(digest(LARGE + LARGE)).size == 2 * len(LARGE)


class Sparing(PassingDriver):
    """A driver whose readers give little at a time, as clause R5 allows."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a sparing reader."""

        class SparingReader(PassingReader):
            def read_at(self, offset: int, buffer: memoryview) -> int:
                return super().read_at(offset, buffer[:300])

        return SparingReader(self.inner.open_reader(key, offset))


def test_a_layer_is_good_for_tarfile_however_little_a_reader_gives(raw: CheckedDriver) -> None:
    """Python's tarfile takes a short read for the end of the archive."""
    archive, member = io.BytesIO(), tarfile.TarInfo("one")
    member.size = len(DATA)
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(member, io.BytesIO(DATA))
    upload = LayerService(Sparing(raw)).upload("a")
    upload.write(archive.getvalue())
    layer = upload.finish(digest(archive.getvalue()))
    with tarfile.open(fileobj=layer) as tar:
        found = tar.extractfile("one")
        assert found is not None
        assert found.read() == DATA


def test_an_earlier_finish_that_lost_its_blob_takes_no_offset_back(store: LayerService, trap: Trap) -> None:
    """Of two intents the larger blob is where the upload was: an upload never shrinks."""
    short, whole = sorted((DATA, DATA + LARGE), key=len)
    with store.upload("b") as other:
        other.write(short)
        other.finish(digest(short)).close()
    upload = store.upload("a")
    upload.write(short)
    upload.flush()
    trap.set(of("put", "/intent/"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(short))
    upload.write(whole[len(short) :])
    trap.set(of("move"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(whole))
    assert [info.offset for info in store.uploads("a")] == [len(whole)]
    assert store.resume("a", upload.uuid, offset=len(whole)).finish(digest(whole)).size == len(whole)


def test_a_blob_that_is_no_archive_hides_none_that_is(store: LayerService, trap: Trap, raw: CheckedDriver) -> None:
    """A finish by tarsum tries every blob that the upload may have become, and tells if none is an archive."""
    upload = moved(store, trap)
    with pytest.raises(InvalidArchiveError):
        upload.finish("tarsum.v1+sha256:" + "0" * 64)
    raw.put(f"{layout.UploadKeys('a', upload.uuid).intents}/not-a-digest", b"")
    assert store.resume("a", upload.uuid).finish(digest(DATA)).read() == DATA


def test_a_refused_mount_links_nothing(store: LayerService, raw: CheckedDriver) -> None:
    """Where other bytes have the tarsum already, the layer is not linked by its sha256 either."""
    tarsum = "tarsum.v1+sha256:" + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for name, content in (("a", b""), ("b", bytes(1024))):
        upload = store.upload(name)
        upload.write(content)
        upload.finish(tarsum).close()
    with pytest.raises(LayerExistsError):
        store.mount("a", tarsum, source="b")
    assert not store.exists("a", digest(bytes(1024)))


class Strict(PassingDriver):
    """A driver whose readers raise once their object was replaced, as clause R4 allows."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a strict reader."""
        driver = self.inner

        class StrictReader(PassingReader):
            def read_at(self, offset: int, buffer: memoryview) -> int:
                if driver.stat(self.key).version != self.version:
                    raise BackendUnavailableError(self.key, "that version is gone")
                return super().read_at(offset, buffer)

        return StrictReader(driver.open_reader(key, offset))


def uploaded(store: LayerService) -> layerstore.Layer:
    """Upload the same layer once more."""
    upload = store.upload("a")
    upload.write(LARGE)
    return upload.finish(digest(LARGE))


def test_an_open_layer_outlives_another_upload_of_it(raw: CheckedDriver) -> None:
    """The blob was replaced by the same bytes: reading goes on where it was."""
    store = LayerService(Strict(raw))
    layer = uploaded(store)
    assert layer.read(1000) == LARGE[:1000]
    uploaded(store)
    assert layer.read() == LARGE[1000:]


def write_more(upload: LayerUpload) -> None:
    """Write, and flush."""
    upload.write(DATA)
    upload.flush()


RIVALS: dict[str, tuple[Callable[[LayerUpload], None], type[Exception]]] = {
    "written to": (write_more, FencedError),
    "cancelled": (LayerUpload.cancel, UnknownUploadError),
}


@pytest.mark.parametrize("wanted", [digest(LARGE), f"sha512:{hashlib.sha512(LARGE).hexdigest()}"], ids=["256", "512"])
@pytest.mark.parametrize(("act", "told"), RIVALS.values(), ids=RIVALS)
def test_who_loses_an_upload_while_reading_it_back_is_told(
    raw: CheckedDriver, act: Callable[[LayerUpload], None], told: type[Exception], wanted: str
) -> None:
    """That the reader has lost what it read is no failure of the backend, if somebody else has the upload."""
    trap = Trap("before")
    store = LayerService(CheckedDriver(ObservedDriver(Strict(raw), trap)), verify="reread")
    upload = store.upload("a")
    upload.write(LARGE)
    upload.flush()
    trap.set(of("read_at", "/data"), lambda: act(LayerService(raw).resume("a", upload.uuid)))
    with pytest.raises(told):
        upload.finish(wanted)
    assert trap.sprung


def test_a_reading_back_that_fails_is_a_failure_of_the_backend(raw: CheckedDriver) -> None:
    """Nobody has taken the upload: it is ours, and the finish may be repeated."""
    trap = Trap("before")
    store = LayerService(CheckedDriver(ObservedDriver(raw, trap)), verify="reread")
    upload = store.upload("a")
    upload.write(LARGE)
    trap.set(of("read_at", "/data"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(LARGE))
    assert upload.finish(digest(LARGE)).read() == LARGE


@pytest.mark.parametrize("fails", [False, True])
def test_a_blob_that_is_replaced_while_it_is_read_back_is_read_anew(raw: CheckedDriver, *, fails: bool) -> None:
    """A finish is gone on with whose data has become the blob; a failure of the backend is told, and it is repeated."""
    trap = Trap("after")
    store = LayerService(CheckedDriver(ObservedDriver(Strict(raw), trap)))
    upload = store.upload("a")
    upload.write(LARGE)
    upload.flush()
    trap.set(of("move"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(LARGE))
    key, wanted = layout.blob(Digest.parse(digest(LARGE))), f"sha512:{hashlib.sha512(LARGE).hexdigest()}"
    trap.set(of("read_at", key), fail if fails else lambda: raw.put(key, LARGE))
    if fails:
        with pytest.raises(BackendUnavailableError):
            store.resume("a", upload.uuid).finish(wanted)
    layer = store.resume("a", upload.uuid).finish(wanted)
    assert trap.sprung
    assert layer.read() == LARGE


def test_a_layer_whose_backend_fails_says_so(raw: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was replaced: the error is the backend's, and no reason to try for ever."""
    layer = uploaded(LayerService(raw))
    layer.read(1)

    def broken(*_: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr(type(layer._reader), "read_at", broken)
    with pytest.raises(BackendUnavailableError):
        layer.read()
    with pytest.raises(BackendUnavailableError):
        raw.get(layout.blob(Digest.parse(digest(LARGE))), 10)


def test_a_link_replaced_while_it_is_read_is_read_again(url: str, raw: CheckedDriver) -> None:
    """Finishing the same layer puts its link once more; who reads it meanwhile is not told of a backend's failure."""
    trap = Trap("after")
    store = LayerService(CheckedDriver(ObservedDriver(Strict(raw), trap)))
    uploaded(store)
    trap.set(of("open_reader", "/link"), lambda: uploaded(layerstore.open(url)))
    assert store.exists("a", digest(LARGE))
    assert trap.sprung


def test_an_upload_finished_during_a_listing_is_not_listed(url: str, store: LayerService, raw: CheckedDriver) -> None:
    """It has no offset any more, least of all 0."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.close()
    finish = layerstore.open(url).resume("a", upload.uuid).finish
    listing = Trap("before")
    watched = LayerService(CheckedDriver(ObservedDriver(raw, listing)))
    listing.set(of("stat", "/data"), lambda: finish(digest(DATA)))
    assert list(watched.uploads()) == []


def test_a_digest_is_one_however_it_is_made() -> None:
    """An algorithm that is not verified is refused before it is looked for in hashlib."""
    with pytest.raises(UnsupportedDigestError):
        Digest("md5", "0" * 32)


def test_a_fenced_handle_cancels_nothing(store: LayerService) -> None:
    """``except: upload.cancel()`` on a node that lost an upload must not take it from the one that has it."""
    lost = store.upload("a")
    lost.flush()
    lost.write(DATA)
    owner = store.resume("a", lost.uuid)
    with pytest.raises(FencedError):
        lost.flush()
    lost.cancel()
    assert lost.closed
    owner.write(DATA)
    assert owner.finish(digest(DATA)).read() == DATA


@pytest.mark.parametrize("buffer", [bytearray(), ((ctypes.c_char * 3) * 0)()], ids=["flat", "3 by 0"])
def test_an_empty_buffer_is_written_and_read_whatever_its_shape(store: LayerService, buffer: bytearray) -> None:
    """No bytes are no bytes."""
    upload = store.upload("a")
    assert upload.write(buffer) == 0
    assert upload.finish(digest(b"")).readinto(buffer) == 0


def test_an_offset_that_is_no_integer_is_refused_at_once(store: LayerService) -> None:
    """Not by the next write."""
    upload = store.upload("a")
    with pytest.raises(TypeError):
        upload.seek(1.0)  # type: ignore[arg-type]  # that it fails is the point

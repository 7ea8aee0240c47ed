"""Asking after an upload: how far it has come, at whose expense, and in what words an answer is given."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import NoReturn

import pytest

from layerstore import (
    BackendUnavailableError,
    DriverError,
    FencedError,
    LayerService,
    LayerUpload,
    NoSpaceError,
    OffsetMismatchError,
    UnknownUploadError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, When, of

DATA = Payload("asking").read(5000)


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it."""
    return LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))


@pytest.fixture
def keys(other: LayerService) -> layout.UploadKeys:
    """Leave an upload behind, closed."""
    with other.upload("a") as upload:
        upload.write(DATA)
    return layout.UploadKeys("a", upload.uuid)


def test_a_wrong_offset_takes_the_upload_from_nobody(store: LayerService, keys: layout.UploadKeys) -> None:
    """A refused resume changes nothing: the writer goes on, and bytes that it has not flushed are not lost."""
    upload = store.resume("a", keys.uuid)
    upload.write(b"and on")
    with pytest.raises(OffsetMismatchError):
        store.resume("a", keys.uuid, offset=0)
    assert upload.finish(digest(DATA + b"and on")).read() == DATA + b"and on"


def test_an_offset_that_has_become_wrong_meanwhile_is_refused(
    store: LayerService, keys: layout.UploadKeys, trap: Trap, other: LayerService
) -> None:
    """Between the look and the taking over somebody may store more: that is seen, and nothing is lost of it."""
    upload = other.resume("a", keys.uuid)
    upload.write(b"and on")
    trap.set(of("open_writer", "/data"), upload.flush)
    with pytest.raises(OffsetMismatchError) as caught:
        store.resume("a", keys.uuid, offset=len(DATA))
    assert caught.value.actual == len(DATA) + 6
    assert store.resume("a", keys.uuid, offset=len(DATA) + 6).finish(digest(DATA + b"and on")).size == len(DATA) + 6


def test_a_status_takes_the_upload_from_nobody(
    store: LayerService, keys: layout.UploadKeys, other: LayerService
) -> None:
    """It tells what is stored, and the writer goes on."""
    upload = store.resume("a", keys.uuid)
    upload.write(b"and on")
    assert (other.status("a", keys.uuid).offset, other.status("a", keys.uuid).uuid) == (len(DATA), keys.uuid)
    upload.flush()
    assert [other.status("a", keys.uuid)] == list(other.uploads("a"))
    assert other.status("a", keys.uuid).offset == len(DATA) + 6
    assert upload.finish(digest(DATA + b"and on")).size == len(DATA) + 6
    with pytest.raises(UnknownUploadError):
        other.status("a", keys.uuid)


def test_a_status_of_an_upload_that_has_stored_nothing_is_zero(store: LayerService) -> None:
    """Flushed, it is known."""
    upload = store.upload("a")
    upload.flush()
    assert store.status("a", upload.uuid).offset == 0


def test_a_status_of_an_upload_that_nobody_else_knows_of_is_refused(store: LayerService) -> None:
    """Until its first flush it is its handle's alone."""
    with pytest.raises(UnknownUploadError):
        store.status("a", store.upload("a").uuid)


def full() -> NoReturn:
    """Have no space left."""
    raise NoSpaceError("docker/some/key")


def down() -> NoReturn:
    """Be out of reach."""
    raise BackendUnavailableError("docker/some/key")


def write_much(upload: LayerUpload) -> None:
    """Write more than is gathered in front of the backend."""
    upload.write(bytes(2 << 20))


def rewrite(upload: LayerUpload) -> None:
    """Ask for a digest for which bytes have to be read back."""
    upload.seek(1)
    upload.write(b"other")
    upload.digest()


CALLS: dict[str, tuple[When, Callable[[LayerUpload], object]]] = {
    "a write": (of("write_at"), write_much),
    "a flush": (of("publish"), lambda upload: upload.flush()),
    "a digest": (of("publish"), rewrite),
    "a close": (of("publish"), lambda upload: upload.close()),
    "a finish": (of("move"), lambda upload: upload.finish(digest(DATA))),
    "a finish that links": (of("put", "/link"), lambda upload: upload.finish(digest(DATA))),
    "a cancel": (of("delete"), lambda upload: upload.cancel()),
}


@pytest.mark.parametrize("act", [down, full])
@pytest.mark.parametrize("call", CALLS)
def test_an_error_of_an_upload_names_it_and_no_key(
    store: LayerService, trap: Trap, call: str, act: Callable[[], NoReturn]
) -> None:
    """The message has repository and id; the key is a field."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    when, action = CALLS[call]
    trap.set(when, act)
    with pytest.raises(DriverError) as caught:
        action(upload)
    check_words(caught.value, upload.uuid)


def check_words(error: DriverError, uuid: str) -> None:
    """See that an error speaks of the upload, keeps its key, and pickles so."""
    again = pickle.loads(pickle.dumps(error))
    assert f"upload {uuid} of repository a" in str(again)
    assert "docker/" not in str(again)
    assert again.key


def test_a_fenced_upload_names_itself(store: LayerService, keys: layout.UploadKeys) -> None:
    """And its place in the storage is nobody's business."""
    upload = store.resume("a", keys.uuid)
    store.resume("a", keys.uuid)
    with pytest.raises(FencedError) as caught:
        upload.flush()
    check_words(caught.value, keys.uuid)
    assert caught.value.key == keys.data


def test_an_upload_sought_before_its_start_names_itself(store: LayerService) -> None:
    """The position is the caller's mistake, and the key tells nothing of it."""
    upload = store.upload("a")
    with pytest.raises(DriverError, match=r"offset outside the object: upload .* \(seek to -1\)") as caught:
        upload.seek(-1)
    check_words(caught.value, upload.uuid)


@pytest.mark.parametrize("method", ["resume", "status", "cancel"])
def test_what_fails_before_there_is_a_handle_names_the_upload(
    store: LayerService, trap: Trap, keys: layout.UploadKeys, method: str
) -> None:
    """By name and id."""
    trap.set(lambda _, call: keys.uuid in call.key, down)
    with pytest.raises(BackendUnavailableError) as caught:
        getattr(store, method)("a", keys.uuid)
    check_words(caught.value, keys.uuid)


def test_an_upload_that_cannot_begin_names_itself(store: LayerService, trap: Trap) -> None:
    """Its id is new, and stands for nothing that is stored."""
    trap.set(of("put", "/startedat"), full)
    upload = store.upload("a")
    with pytest.raises(NoSpaceError, match=r"no space left: upload [-0-9a-f]* of repository a$"):
        upload.flush()

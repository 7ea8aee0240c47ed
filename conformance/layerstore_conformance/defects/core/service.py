"""Defects of the core: to begin, find and resume uploads; names that reach storage; handles that are not released."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from types import SimpleNamespace
from unittest.mock import patch

from layerstore import layout, service
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.driver import Writer
from layerstore.errors import FencedError, OffsetMismatchError
from layerstore.hashing.cursor import HashCursor
from layerstore.layout import UploadKeys
from layerstore.service import LayerService, UploadInfo
from layerstore.uploads import finish
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

SOMEWHEN = datetime(2015, 1, 27, tzinfo=UTC)


@planted_in_core("K3")
def upload_ids_repeated() -> Iterator[None]:
    """Every second upload of a repository gets an id that was used before."""
    given: list[uuid.UUID] = []

    def uuid4() -> uuid.UUID:
        if len(given) % 2:
            given.append(given[-1])
        else:
            given.append(uuid.UUID(int=0x4000_8000_0000_0000_0000 + len(given)))
        return given[-1]

    with patch.object(service, "uuids", SimpleNamespace(uuid4=uuid4)):
        yield


@planted_in_core("W1")
def resumed_at_zero() -> Iterator[None]:
    """An upload is resumed at offset 0."""
    real = LayerService.resume

    def resume(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        upload = real(self, name, uuid, offset=offset)
        upload._position = 0
        return upload

    with patch.object(LayerService, "resume", resume):
        yield


@planted_in_core("S1")
def offset_is_not_compared() -> Iterator[None]:
    """The offset that a client gives is ignored."""
    real = LayerService.resume

    def resume(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        del offset
        return real(self, name, uuid)

    with patch.object(LayerService, "resume", resume):
        yield


@planted_in_core("F1")
def resume_fences_before_it_checks() -> Iterator[None]:
    """A resume fences the earlier handles before it compares the offset."""
    real = LayerService.resume

    def resume(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        keys = layout.UploadKeys(name, uuid)
        if self.driver.find(keys.started_at) is not None:
            self.driver.open_writer(keys.data).discard()
        return real(self, name, uuid, offset=offset)

    with patch.object(LayerService, "resume", resume):
        yield


@planted_in_core("S1")
def mismatch_without_the_offset() -> Iterator[None]:
    """The error of a wrong offset has the wrong one twice."""
    real = OffsetMismatchError.__init__
    with patch.object(OffsetMismatchError, "__init__", lambda self, wrong, actual: real(self, wrong, wrong)):
        yield


@planted_in_core("S3")
def unknown_upload_is_begun() -> Iterator[None]:
    """A resume of an unknown upload begins it."""
    real = LayerService.resume

    def resume(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        keys = UploadKeys(name, uuid)
        if self.driver.find(keys.started_at) is None:
            self.driver.put(keys.started_at, b"2015-01-27T00:00:00Z")
        return real(self, name, uuid, offset=offset)

    with patch.object(LayerService, "resume", resume):
        yield


@planted_in_core("W6")
def started_anew_when_resumed() -> Iterator[None]:
    """A resumed upload has another start time."""
    with patch.object(LayerService, "_started_at", lambda self, keys: self.driver.stat(keys.started_at) and SOMEWHEN):
        yield


@planted_in_core("K3")
def repository_is_ignored_by_resume() -> Iterator[None]:
    """An upload of one repository can be resumed through every other."""
    real = LayerService.resume

    def resume(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        for info in [] if self.driver.find(UploadKeys(name, uuid).started_at) else list(self.uploads()):
            if info.uuid == uuid:
                return real(self, info.name, uuid, offset=offset)
        return real(self, name, uuid, offset=offset)

    with patch.object(LayerService, "resume", resume):
        yield


@planted_in_core("F1", "F3")
def fenced_flush_is_silent() -> Iterator[None]:
    """A flush of a fenced handle raises no error."""
    real = Spool.publish

    def publish(self: Spool) -> None:
        with suppress(FencedError):
            real(self)

    with patch.object(Spool, "publish", publish):
        yield


@planted_in_core("F1", "F3")
def fenced_handle_takes_over_again() -> Iterator[None]:
    """A fenced handle puts its own bytes back over the later ones."""
    publish, store = Spool.publish, Spool.store
    written: dict[int, bytearray] = {}

    def record(self: Spool, offset: int, data: bytes | memoryview) -> None:
        if id(self) not in written:
            there = self._driver.find(self._keys.data)
            written[id(self)] = bytearray(self._driver.get(self._keys.data, there.size) if there else b"")
        store(self, offset, data)
        written[id(self)][offset : offset + len(data)] = data

    def take_over(self: Spool) -> None:
        try:
            publish(self)
        except FencedError:
            if self._driver.find(self._keys.data) is None:
                raise
            self._driver.put(self._keys.data, bytes(written.get(id(self), b"")))

    with patch.object(Spool, "store", record), patch.object(Spool, "publish", take_over):
        yield


@planted_in_core("P1")
def expected_layer_is_not_looked_for() -> Iterator[None]:
    """An upload of a layer that the repository has is begun all the same."""
    real = LayerService.upload

    def upload(self: LayerService, name: str, *, expected: Digest | str | None = None) -> LayerUpload:
        del expected
        return real(self, name)

    with patch.object(LayerService, "upload", upload):
        yield


@planted_in_core("L5")
def uploads_visible_as_layers() -> Iterator[None]:
    """The flushed bytes of an upload are a layer already."""
    real = Spool.publish

    def publish(self: Spool) -> None:
        real(self)
        if self.size:
            self._driver.put(layout.blob(self.canonical("resume")), self._driver.get(self._keys.data, 1 << 40))

    with patch.object(Spool, "publish", publish):
        yield


@planted_in_core("S1")
def uploads_listed_at_offset_zero() -> Iterator[None]:
    """Every upload is listed at offset 0."""
    real = LayerService.uploads

    def uploads(self: LayerService, name: str | None = None) -> Iterator[UploadInfo]:
        return (info._replace(offset=0) for info in real(self, name))

    with patch.object(LayerService, "uploads", uploads):
        yield


@planted_in_core("L1")
def repositories_below_others_hidden() -> Iterator[None]:
    """A repository below another one is not listed."""
    real = LayerService.repositories

    def repositories(self: LayerService) -> Iterator[str]:
        listed: list[str] = []
        for name in real(self):
            if not any(name.startswith(f"{above}/") for above in listed):
                listed.append(name)
        return iter(listed)

    with patch.object(LayerService, "repositories", repositories):
        yield


@planted_in_core("K1")
def name_is_not_checked() -> Iterator[None]:
    """Any text is a repository's name."""
    with patch.object(layout, "check_name", lambda name: name):
        yield


@planted_in_core("K1")
def id_is_not_checked() -> Iterator[None]:
    """Any text is an upload's id."""
    with patch.object(layout, "check_uuid", lambda uuid: uuid):
        yield


@planted_in_core("K1")
def digest_is_not_checked() -> Iterator[None]:
    """Any text with a colon is a digest."""

    def parse(text: str | Digest) -> Digest:
        algorithm, _, encoded = str(text).partition(":")
        return Digest(algorithm, encoded)

    with patch.object(Digest, "parse", parse), patch.object(Digest, "__post_init__", lambda self: None):
        yield


@planted_in_core("T3")
def closed_upload_cannot_be_printed() -> Iterator[None]:
    """The ``repr`` of an upload asks its position, which a closed upload refuses."""
    with patch.object(
        LayerUpload, "__repr__", lambda self: f"<LayerUpload {self.name} {self.uuid} {self.tell()} bytes>"
    ):
        yield


@planted_in_core("T4")
def writer_is_not_released() -> Iterator[None]:
    """A closed upload keeps its writer open."""
    kept: list[Writer] = []

    def release(self: Spool) -> None:
        kept.append(self._writer)

    with patch.object(Spool, "release", release):
        yield
    for each in kept:
        each.discard()


@planted_in_core("T4")
def worker_is_not_ended() -> Iterator[None]:
    """An upload is hashed by a thread of its own, which does not end when the upload is closed."""
    workers: list[ThreadPoolExecutor] = []

    def start(self: HashCursor, data: bytes | memoryview) -> None:
        worker: ThreadPoolExecutor = vars(self).setdefault("worker", ThreadPoolExecutor(1))
        workers.append(worker)
        worker.submit(self.feed, data).result()

    with patch.object(HashCursor, "start", start):
        yield
    for each in workers:
        each.shutdown()


@planted_in_core("T2")
def handles_share_a_position() -> Iterator[None]:
    """A repository's uploads share one position, that of the last write."""
    last: dict[str, int] = {}
    real: Callable[..., None] = LayerUpload._store

    def store(self: LayerUpload, spool: Spool, data: bytes | memoryview) -> None:
        self._position = max(self._position, last.get(self.name, 0))
        real(self, spool, data)
        last[self.name] = self._position

    with patch.object(LayerUpload, "_store", store):
        yield


@planted_in_core("P3")
def empty_objects_are_not_made() -> Iterator[None]:
    """An upload of no bytes is not published, and cannot become a layer."""
    real = Spool.publish

    def publish(self: Spool) -> None:
        if self.size:
            real(self)

    with patch.object(Spool, "publish", publish):
        yield


@planted_in_core("D1")
def writes_beside_the_prefix() -> Iterator[None]:
    """Every removed upload leaves a note beside the layout."""
    real = finish.remove

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        real(driver, keys)
        driver.put("canary", "".join(chain("removed ", keys.uuid)).encode())

    with patch.object(finish, "remove", remove):
        yield

"""Defects of the core that show only when a process is killed between two driver calls: steps in the wrong order."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import FencedError, LayerInvalidDigestError
from layerstore.hashing import uploadstate
from layerstore.layer import Layer
from layerstore.layout import UploadKeys
from layerstore.service import LayerService
from layerstore.upkeep import purge
from layerstore.uploads import finish
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.defects.core.finish import REAL, WHOLE, first, written
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("W6", "P1")
def startedat_comes_with_the_second_flush() -> Iterator[None]:
    """The first flush of an upload stores its bytes without its start: killed after that, the upload is lost."""
    real = LayerUpload._flush
    flushed: set[str] = set()

    def flush(self: LayerUpload) -> None:
        if self._known or self.uuid in flushed or not isinstance(self._content, Front):
            real(self)
            return
        self._check_open()
        flushed.add(self.uuid)
        with self._owning():
            self._content.spill().publish()

    with patch.object(LayerUpload, "_flush", flush):
        yield


@planted_in_core("W6", "P2")
def flush_is_put_off() -> Iterator[None]:
    """A flush is acknowledged at once, and done when the next bytes are written."""
    flush, store = LayerUpload.flush, LayerUpload._store
    owed: set[str] = set()

    def pay(self: LayerUpload, front: Front, data: bytes | memoryview) -> None:
        if self.uuid in owed:
            owed.remove(self.uuid)
            flush(self)
        store(self, front, data)

    def close(self: LayerUpload) -> None:
        try:
            if not self._closed:
                flush(self)
        finally:
            self._release()

    with (
        patch.object(LayerUpload, "flush", lambda self: owed.add(self.uuid)),
        patch.object(LayerUpload, "_store", pay),
        patch.object(LayerUpload, "close", close),
    ):
        yield


@planted_in_core("W6", "S2")
def state_is_saved_before_the_data() -> Iterator[None]:
    """The hash state of a flush is saved before its bytes, under the version of the flush before it."""
    real = Spool.publish

    def publish(self: Spool) -> None:
        version, states = self._writer.version, self._cursor.marks()
        if version is not None and states:
            self._driver.put(self._keys.state, uploadstate.dump(version, states))
        real(self)

    with patch.object(Spool, "publish", publish):
        yield


@planted_in_core("P1", "D1")
def finish_removes_before_it_links() -> Iterator[None]:
    """A finish removes the upload, and then links its blob: killed in between, no repository has the layer."""
    real, remove, link = LayerUpload.finish, LayerUpload._remove, links.write

    def late(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        held: list[tuple[CheckedDriver, str, Digest, Digest]] = []

        def remove_and_link(self: LayerUpload) -> None:
            remove(self)
            for each in held:
                link(*each)

        with (
            patch.object(links, "write", lambda *link: held.append(link)),
            patch.object(LayerUpload, "_remove", remove_and_link),
        ):
            return real(self, digest, size)

    with patch.object(LayerUpload, "finish", late):
        yield


@planted_in_core("F1")
def resumed_upload_stays_taken() -> Iterator[None]:
    """A resume locks the upload until its handle is closed: killed before that, it stays locked for good."""
    resume, release = LayerService.resume, LayerUpload._release

    def take(self: LayerService, name: str, uuid: str, *, offset: int | None = None) -> LayerUpload:
        lock = f"{UploadKeys(name, uuid).prefix}/lock"
        if self.driver.find(lock) is not None:
            raise FencedError(lock, "another one has it", self.driver.scheme)
        upload = resume(self, name, uuid, offset=offset)
        self.driver.put(lock, b"")
        return upload

    def give_back(self: LayerUpload) -> None:
        if not self._closed:
            self._driver.delete(f"{self._keys.prefix}/lock")
        release(self)

    with patch.object(LayerService, "resume", take), patch.object(LayerUpload, "_release", give_back):
        yield


@planted_in_core("W5", "W7")
def rewinding_truncates_first() -> Iterator[None]:
    """A write before the end cuts the stored bytes off there at once, and restores the rest with the next flush."""
    real = Spool.store

    def store(self: Spool, offset: int, data: bytes | memoryview) -> None:
        if offset < self.size and self.version is not None:
            whole = self._driver.get(self._keys.data, WHOLE)
            self._driver.put(self._keys.data, whole[:offset])
            self._writer = self._driver.open_writer(self._keys.data)
            self._writer.write(whole[offset:])
        real(self, offset, data)

    with patch.object(Spool, "store", store):
        yield


@planted_in_core("W4", "W7")
def gap_is_published_first() -> Iterator[None]:
    """A write beyond the end first stores the zeros up to there, and flushes them."""
    real = Spool.store

    def store(self: Spool, offset: int, data: bytes | memoryview) -> None:
        if offset > self.size:
            real(self, self.size, bytes(offset - self.size))
            self.publish()
        real(self, offset, data)

    with patch.object(Spool, "store", store):
        yield


@planted_in_core("M1", "M2")
def seen_until_it_is_refused() -> Iterator[None]:
    """An upload is put under the given digest, then verified, and removed if it does not match."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        if wanted.algorithm == "sha256" and isinstance(self._content, Front):
            self._driver.put(layout.blob(wanted), written(self, self._content))
        try:
            return REAL(self, wanted, size)
        except LayerInvalidDigestError:
            self._driver.delete(layout.blob(wanted))
            raise

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("D4", "D1")
def cancel_removes_the_beginning_last() -> Iterator[None]:
    """A cancel removes the bytes first: killed in between, the upload is still there without its bytes."""

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        for key in (keys.data, keys.state, keys.intents, keys.started_at):
            driver.delete(key)
        driver.delete(keys.prefix)

    with patch.object(finish, "remove", remove):
        yield


@planted_in_core("D4")
def purge_removes_the_data_first() -> Iterator[None]:
    """A purge removes the bytes first: killed in between, the upload can be resumed without its bytes."""

    def take_away(driver: CheckedDriver, keys: UploadKeys, seen: object) -> None:
        del seen
        driver.delete(keys.data)
        finish.remove(driver, keys)

    with patch.object(purge, "_take_away", take_away):
        yield


@planted_in_core("M1", "M2")
def existing_blob_is_deleted_first() -> Iterator[None]:
    """When a layer is uploaded again, its blob is deleted before the new bytes are moved there."""

    def delete(self: LayerUpload, front: Front, wanted: Digest) -> None:
        if Digest.of(written(self, front)) == wanted:
            self._driver.delete(layout.blob(wanted))

    with first(delete):
        yield

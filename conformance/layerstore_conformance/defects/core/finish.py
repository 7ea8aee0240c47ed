"""Defects of the core: finish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import LayerClosedError, LayerExistsError, LayerInvalidDigestError, PathNotFoundError
from layerstore.layout import UploadKeys
from layerstore.service import LayerService
from layerstore.uploads import finish, spool
from layerstore.uploads.finish import Moved
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

BecomeBlob = Callable[[LayerUpload, Digest, int | None], tuple[Digest, bytes | None]]
REAL: BecomeBlob = LayerUpload._become_blob
WHOLE = 1 << 40


def written(upload: LayerUpload, front: Front) -> bytes:
    """Return the bytes of an upload; bytes that are not gathered are flushed, and read from the backend."""
    if front.spool is None:
        return bytes(front.gathered)
    upload._publish(front.spill())
    return upload._driver.get(upload._keys.data, WHOLE)


def become(upload: LayerUpload, front: Front, canonical: Digest, wanted: Digest) -> tuple[Digest, bytes | None]:
    """Do the steps of a finish that come after its verification."""
    spool = front.spill()
    upload._publish(spool)
    finish.intend(upload._driver, upload._keys, wanted, canonical)
    finish.move(upload._driver, upload._keys, canonical, spool.version)
    return canonical, None


@contextmanager
def first(step: Callable[[LayerUpload, Front, Digest], Digest | None]) -> Iterator[None]:
    """Have a finish do something with the bytes first; if this returns a digest, the finish takes it for theirs."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        taken = step(self, self._content, wanted) if isinstance(self._content, Front) else None
        return (taken, None) if taken else REAL(self, wanted, size)

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("M1")
def finish_does_not_verify() -> Iterator[None]:
    """A finish does not compare the digest: any bytes become the layer."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        if not isinstance(self._content, Front):
            return REAL(self, wanted, size)
        canonical = wanted if wanted.algorithm == "sha256" else Digest.of(written(self, self._content))
        return become(self, self._content, canonical, wanted)

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("R5")
def only_sha256_is_verified() -> Iterator[None]:
    """A digest of another algorithm than sha256 is not verified."""
    real, measure = Spool.measure, spool.measure
    with (
        patch.object(Spool, "measure", lambda self, wanted: real(self, wanted) if wanted.is_tarsum else wanted),
        patch.object(finish, "measure", lambda reader, wanted: measure(reader, wanted) if wanted.is_tarsum else wanted),
    ):
        yield


@planted_in_core("R5")
def tarsum_is_not_verified() -> Iterator[None]:
    """A tarsum is not verified."""
    real, measure = Spool.measure, spool.measure
    with (
        patch.object(Spool, "measure", lambda self, wanted: wanted if wanted.is_tarsum else real(self, wanted)),
        patch.object(finish, "measure", lambda reader, wanted: wanted if wanted.is_tarsum else measure(reader, wanted)),
    ):
        yield


@planted_in_core("M4")
def moved_without_its_version() -> Iterator[None]:
    """A finish moves any version of the data, not only the verified one."""
    real = finish.move
    with patch.object(finish, "move", lambda driver, keys, canonical, version: real(driver, keys, canonical, None)):
        yield


@planted_in_core("M2")
def linked_before_moved() -> Iterator[None]:
    """A finish puts the link before the blob is there."""

    def link(self: LayerUpload, front: Front, wanted: Digest) -> None:
        if Digest.of(written(self, front)) == wanted:
            links.write(self._driver, self.name, wanted, wanted)

    with first(link):
        yield


@planted_in_core("M1")
def wrong_digest_is_visible() -> Iterator[None]:
    """An upload is put under the given digest, and then verified."""

    def put(self: LayerUpload, front: Front, wanted: Digest) -> None:
        if wanted.algorithm == "sha256":
            self._driver.put(layout.blob(wanted), written(self, front))

    with first(put):
        yield


@planted_in_core("E4")
def wrong_digest_ends_the_upload() -> Iterator[None]:
    """An upload is removed when its digest is refused."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        try:
            return REAL(self, wanted, size)
        except LayerInvalidDigestError:
            self._remove()
            raise

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("E4")
def mismatch_without_the_digest() -> Iterator[None]:
    """The error of a refused digest has the given one twice."""
    real = LayerInvalidDigestError.__init__
    with patch.object(LayerInvalidDigestError, "__init__", lambda self, wanted, actual: real(self, wanted, wanted)):
        yield


@planted_in_core("S1")
def size_is_not_compared() -> Iterator[None]:
    """The given size of a layer is ignored."""
    with patch.object(finish, "check_size", lambda size, actual: None):
        yield


@planted_in_core("M2")
def existing_blob_is_taken_for_good() -> Iterator[None]:
    """If a blob is there already, the uploaded bytes are thrown away, and the blob is not checked."""

    def take(self: LayerUpload, front: Front, wanted: Digest) -> Digest | None:
        there = Digest.of(written(self, front)) == wanted and self._driver.find(layout.blob(wanted)) is not None
        return wanted if there else None

    with first(take):
        yield


@planted_in_core("M2")
def existing_blob_is_an_error() -> Iterator[None]:
    """A layer that is there cannot be uploaded again."""

    def refuse(self: LayerUpload, front: Front, wanted: Digest) -> None:
        if Digest.of(written(self, front)) == wanted and self._driver.find(layout.blob(wanted)) is not None:
            raise LayerExistsError(self.name, str(wanted))

    with first(refuse):
        yield


@planted_in_core("M1")
def no_intent() -> Iterator[None]:
    """A finish does not note the blob that its data is about to become: cut off, it loses the data."""
    with patch.object(finish, "intend", lambda driver, keys, wanted, canonical: None):
        yield


@planted_in_core("M1")
def moved_blob_is_not_read() -> Iterator[None]:
    """A finish that goes on after it was cut off does not read its blob again."""
    with patch.object(Moved, "_read_back", lambda self, canonical, wanted: wanted):
        yield


@planted_in_core("M1")
def moved_blob_is_unknown() -> Iterator[None]:
    """An upload whose data has become a blob cannot be resumed."""
    real = LayerService._content

    def content(self: LayerService, keys: UploadKeys, spool: Spool) -> object:
        with patch.object(finish, "find_moved", lambda driver, keys: None):
            return real(self, keys, spool)

    with patch.object(LayerService, "_content", content):
        yield


@planted_in_core("E4", "M1")
def finish_forgets_what_it_did() -> Iterator[None]:
    """A finish that failed after its data was moved cannot be repeated by the same handle."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        with patch.object(finish, "find_moved", lambda driver, keys, becoming: None):
            return REAL(self, wanted, size)

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("M1")
def finish_cannot_be_repeated() -> Iterator[None]:
    """A second finish of a finished upload is an error."""
    real = LayerUpload.finish

    def finish_once(self: LayerUpload, digest: Digest | str, size: int | None = None) -> object:
        if self._closed:
            raise LayerClosedError(f"upload {self.uuid}")
        return real(self, digest, size)

    with patch.object(LayerUpload, "finish", finish_once):
        yield


@planted_in_core("F2")
def finish_lost_to_another() -> Iterator[None]:
    """A finish that finds its data gone deletes the upload's blob."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        try:
            return REAL(self, wanted, size)
        except PathNotFoundError:
            if wanted.algorithm == "sha256":
                self._driver.delete(layout.blob(wanted))
            raise

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("P1")
def finished_without_a_link() -> Iterator[None]:
    """A finish returns the layer and stores its blob, but puts no link."""
    real = links.write

    def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        real(driver, "lost/and/found", digest, target)

    with patch.object(links, "write", write):
        yield


@planted_in_core("D1")
def finish_removes_nothing() -> Iterator[None]:
    """A finish does not remove the upload."""
    real = finish.remove

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        if driver.find(keys.data) is not None or not list(driver.list(keys.intents)):
            real(driver, keys)

    with patch.object(finish, "remove", remove):
        yield


@planted_in_core("R5")
def reread_does_not_read() -> Iterator[None]:
    """``verify="reread"`` reads back no more than ``"resume"``."""
    real = Spool.canonical
    with patch.object(Spool, "canonical", lambda self, verify: real(self, "resume")):
        yield


@planted_in_core("R5")
def every_finish_reads_back() -> Iterator[None]:
    """``verify="resume"`` reads all bytes back."""
    real = LayerUpload.finish

    def reread(self: LayerUpload, digest: Digest | str, size: int | None = None) -> object:
        self._verify = "reread"
        return real(self, digest, size)

    with patch.object(LayerUpload, "finish", reread):
        yield


@planted_in_core("R5")
def every_finish_reads_back_twice() -> Iterator[None]:
    """A finish that reads bytes back reads them twice."""
    real = spool.Spool._open_reader

    def open_reader(self: Spool, offset: int) -> Any:  # noqa: ANN401  (a reader)
        with real(self, offset) as reader:
            reader.readall()
        return real(self, offset)

    with patch.object(Spool, "_open_reader", open_reader):
        yield


@planted_in_core("C6", "R5")
def layer_is_read_whole_to_verify() -> Iterator[None]:
    """A finish that reads bytes back reads them into memory at once."""
    real = spool.measure

    def measure(reader: Any, wanted: Digest) -> Digest:  # noqa: ANN401  (a reader)
        data = reader.readall()
        reader.seek(0)
        result = real(reader, wanted)
        del data
        return result

    with patch.object(spool, "measure", measure):
        yield


@planted_in_core("M1")
def finish_copies() -> Iterator[None]:
    """A finish copies the data to its blob, byte by byte, and then deletes it."""

    def copy(driver: CheckedDriver, keys: UploadKeys, canonical: Digest, version: str | None) -> None:
        del version
        driver.put(layout.blob(canonical), driver.get(keys.data, WHOLE))
        driver.delete(keys.data)

    with patch.object(finish, "move", copy):
        yield


@planted_in_core("L4")
def finish_looks_at_everything() -> Iterator[None]:
    """A finish lists the repository's uploads, and asks for each of them."""

    def look(self: LayerUpload, front: Front, wanted: Digest) -> None:
        del front, wanted
        for child in self._driver.list(layout.uploads(self.name)):
            if self.uuid not in child:
                self._driver.find(f"{child}startedat")

    with first(look):
        yield

"""Defects of the core: finishing and cancelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any
from unittest.mock import patch

from layerstore import finish, layout, links, spool, uploadstate
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.errors import LayerClosedError, LayerExistsError, LayerInvalidDigestError, PathNotFoundError
from layerstore.finish import Moved
from layerstore.layout import UploadKeys
from layerstore.service import LayerService
from layerstore.spool import Spool, Verify
from layerstore.upload import LayerUpload
from layerstore_conformance.defect import planted_in_core

Finish = Callable[[CheckedDriver, UploadKeys, Spool, Digest, Verify], Digest]
REAL: Finish = finish.verify_and_move
WHOLE = 1 << 40


def become(driver: CheckedDriver, keys: UploadKeys, spool: Spool, canonical: Digest, wanted: Digest) -> Digest:
    """Do what a finish does after it has verified."""
    driver.put(keys.intent(canonical), str(wanted).encode("ascii"))
    driver.move(keys.data, layout.blob(canonical), version=spool.version)
    return canonical


@planted_in_core("M1")
def finish_does_not_verify() -> Iterator[None]:
    """Whatever was uploaded becomes the layer that is asked for."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        canonical = wanted if wanted.algorithm == "sha256" else spool.canonical(verify)
        return become(driver, keys, spool, canonical, wanted)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("R5")
def only_sha256_is_verified() -> Iterator[None]:
    """A digest of another algorithm than sha256 is believed."""
    real = Spool.measure
    with patch.object(Spool, "measure", lambda self, wanted: real(self, wanted) if wanted.is_tarsum else wanted):
        yield


@planted_in_core("R5")
def tarsum_is_not_verified() -> Iterator[None]:
    """A tarsum is believed."""
    real = Spool.measure
    with patch.object(Spool, "measure", lambda self, wanted: wanted if wanted.is_tarsum else real(self, wanted)):
        yield


@planted_in_core("M4")
def moved_without_its_version() -> Iterator[None]:
    """What was verified is moved, or whatever is there by now."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        real = driver.move

        def forget(source: str, target: str, *, version: str | None = None) -> None:
            del version
            real(source, target)

        with patch.object(driver, "move", forget):
            return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("M2")
def linked_before_moved() -> Iterator[None]:
    """The repository is given its link before the blob is there."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        canonical = spool.canonical(verify)
        if canonical == wanted:
            links.write(driver, keys.name, canonical, canonical)
        return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("M1")
def wrong_digest_is_visible() -> Iterator[None]:
    """What is uploaded is put under the digest that is asked for, and then verified."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        if wanted.algorithm == "sha256":
            driver.put(layout.blob(wanted), driver.get(keys.data, WHOLE))
        return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("E4")
def wrong_digest_ends_the_upload() -> Iterator[None]:
    """An upload whose digest was refused is removed."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        try:
            return REAL(driver, keys, spool, wanted, verify)
        except LayerInvalidDigestError:
            finish.remove(driver, keys)
            raise

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("E4")
def mismatch_without_the_digest() -> Iterator[None]:
    """The error of a refused digest tells the one asked for twice."""
    real = LayerInvalidDigestError.__init__
    with patch.object(LayerInvalidDigestError, "__init__", lambda self, wanted, actual: real(self, wanted, wanted)):
        yield


@planted_in_core("S1")
def size_is_not_compared() -> Iterator[None]:
    """The size that a layer should have is ignored."""
    with patch.object(finish, "check_size", lambda size, actual: None):
        yield


@planted_in_core("M2")
def existing_blob_is_taken_for_good() -> Iterator[None]:
    """Where there is a blob already, what was uploaded is thrown away, without a look at what is there."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        canonical = spool.canonical(verify)
        if canonical == wanted and driver.find(layout.blob(canonical)) is not None:
            return canonical
        return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("M2")
def existing_blob_is_an_error() -> Iterator[None]:
    """A layer that is there already cannot be uploaded again."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        canonical = spool.canonical(verify)
        if canonical == wanted and driver.find(layout.blob(canonical)) is not None:
            raise LayerExistsError(keys.name, str(canonical))
        return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("M1")
def no_intent() -> Iterator[None]:
    """It is not noted which blob the data is about to become: a finish that is cut off loses it."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        real = driver.put
        with patch.object(driver, "put", lambda key, data: None if "/intent/" in key else real(key, data)):
            return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("M1")
def moved_blob_is_not_read() -> Iterator[None]:
    """A finish that goes on after it was cut off believes that the blob is still what it was."""
    with patch.object(Moved, "_read_back", lambda self, canonical, wanted: wanted):
        yield


@planted_in_core("M1")
def moved_blob_is_unknown() -> Iterator[None]:
    """An upload whose data has become a blob is unknown to whoever resumes it, layer or not."""
    real = LayerService._content

    def content(self: LayerService, keys: UploadKeys, spool: Spool) -> object:
        with patch.object(finish, "find_moved", lambda driver, keys: None):
            return real(self, keys, spool)

    with patch.object(LayerService, "_content", content):
        yield


@planted_in_core("E4", "M1")
def finish_forgets_what_it_did() -> Iterator[None]:
    """A finish that failed after its data was moved is not gone on with by the same handle."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> Digest:
        content = self._content
        if not isinstance(content, Spool):
            return content.verify(wanted, size)
        content.publish()
        finish.check_size(size, content.size)
        return finish.verify_and_move(self._driver, self._keys, content, wanted, self._verify)

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("M1")
def finish_cannot_be_repeated() -> Iterator[None]:
    """Finishing a finished upload again is an error."""
    real = LayerUpload.finish

    def finish_once(self: LayerUpload, digest: Digest | str, size: int | None = None) -> object:
        if self._closed:
            raise LayerClosedError(f"upload {self.uuid}")
        return real(self, digest, size)

    with patch.object(LayerUpload, "finish", finish_once):
        yield


@planted_in_core("F2")
def finish_lost_to_another() -> Iterator[None]:
    """A finish that finds its data gone takes the upload's blob away."""
    real = LayerUpload._become_blob

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> Digest:
        try:
            return real(self, wanted, size)
        except PathNotFoundError:
            if wanted.algorithm == "sha256":
                self._driver.delete(layout.blob(wanted))
            raise

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("P1")
def finished_without_a_link() -> Iterator[None]:
    """The blob is there, and the layer returned, but the repository has no link to it."""
    real = links.write

    def write(driver: CheckedDriver, name: str, digest: Digest, target: Digest) -> None:
        real(driver, "lost/and/found", digest, target)

    with patch.object(links, "write", write):
        yield


@planted_in_core("D1")
def finish_removes_nothing() -> Iterator[None]:
    """A finished upload is still there."""
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
    """``verify="resume"`` reads everything back."""
    real = Spool.canonical
    with patch.object(Spool, "canonical", lambda self, verify: real(self, "reread")):
        yield


@planted_in_core("R5")
def every_finish_reads_back_twice() -> Iterator[None]:
    """What has to be read back is read twice."""
    real = spool.Spool._open_reader

    def open_reader(self: Spool, offset: int) -> Any:  # noqa: ANN401  (a reader)
        with real(self, offset) as reader:
            reader.readall()
        return real(self, offset)

    with patch.object(Spool, "_open_reader", open_reader):
        yield


@planted_in_core("C6", "R5")
def layer_is_read_whole_to_verify() -> Iterator[None]:
    """What has to be read back is read into memory at once."""
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
    """The data is copied to its blob, byte by byte, and then deleted."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        def copy(source: str, target: str, *, version: str | None = None) -> None:
            del version
            driver.put(target, driver.get(source, WHOLE))
            driver.delete(source)

        with patch.object(driver, "move", copy):
            return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("L4")
def finish_looks_at_everything() -> Iterator[None]:
    """A finish lists the repository's uploads, and asks for each of them."""

    def move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
        for child in driver.list(layout.uploads(keys.name)):
            if keys.uuid not in child:
                driver.find(f"{child}startedat")
        return REAL(driver, keys, spool, wanted, verify)

    with patch.object(finish, "verify_and_move", move):
        yield


@planted_in_core("D1")
def cancel_keeps_the_data() -> Iterator[None]:
    """Cancelling removes the upload's beginning, and leaves its bytes."""
    with patch.object(finish, "remove", lambda driver, keys: driver.delete(keys.started_at)):
        yield


@planted_in_core("D1")
def cancel_forgets_startedat() -> Iterator[None]:
    """Cancelling removes the upload's bytes, and leaves its beginning."""

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        for key in (keys.data, keys.state, keys.intents):
            driver.delete(key)

    with patch.object(finish, "remove", remove):
        yield


@planted_in_core("D1")
def cancel_takes_the_neighbours() -> Iterator[None]:
    """Cancelling one upload removes every upload of the repository."""

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        driver.delete(keys.started_at)
        driver.delete(layout.uploads(keys.name))

    with patch.object(finish, "remove", remove):
        yield


@planted_in_core("D1")
def cancel_takes_the_layer() -> Iterator[None]:
    """Cancelling removes the blob of the bytes so far, whoever has it, and after a finish the layer."""
    real = LayerUpload.cancel

    def cancel(self: LayerUpload) -> None:
        digests = set(self._finished)
        if isinstance(self._content, Spool):
            digests.add(self._content.canonical("resume"))
        real(self)
        for each in digests:
            if each.algorithm == "sha256":
                self._driver.delete(layout.blob(each))

    with patch.object(LayerUpload, "cancel", cancel):
        yield


@planted_in_core("T3")
def second_cancel_is_an_error() -> Iterator[None]:
    """Cancelling a handle again is an error."""
    real = LayerUpload.cancel

    def cancel(self: LayerUpload) -> None:
        if self._gone:
            raise LayerClosedError(f"upload {self.uuid}")
        real(self)

    with patch.object(LayerUpload, "cancel", cancel):
        yield


@planted_in_core("D2")
def cancel_of_nothing_is_accepted() -> Iterator[None]:
    """Cancelling an upload that there is not is accepted in silence."""

    def cancel(self: LayerService, name: str, uuid: str) -> None:
        finish.remove(self.driver, UploadKeys(name, uuid))

    with patch.object(LayerService, "cancel", cancel):
        yield


@planted_in_core("T3")
def cancelled_handle_stays_open() -> Iterator[None]:
    """A handle that was cancelled takes more bytes."""

    def cancel(self: LayerUpload) -> None:
        finish.remove(self._driver, self._keys)
        self._gone = True

    with patch.object(LayerUpload, "cancel", cancel):
        yield


@planted_in_core("D4", "E4")
def failed_cancel_counts() -> Iterator[None]:
    """A cancel that failed is taken for done: repeated, it does nothing."""

    def remove(self: LayerUpload) -> None:
        self._release()
        if not self._gone:
            self._gone = True
            finish.remove(self._driver, self._keys)

    with patch.object(LayerUpload, "_remove", remove):
        yield


@planted_in_core("D3", "F3")
def gone_upload_is_merely_fenced() -> Iterator[None]:
    """Who has an upload open that is gone is told that it was taken over."""
    with patch.object(LayerUpload, "_owning", lambda self: nullcontext()):
        yield


@planted_in_core("D3")
def cancelled_flush_leaves_its_state() -> Iterator[None]:
    """A hash state that is saved while the upload is cancelled stays."""

    def save(self: Spool) -> None:
        version, states = self._writer.version, self._cursor.marks()
        if version is not None and states and self._saved != (version, states[-1][0]):
            self._driver.put(self._keys.state, uploadstate.dump(version, states))
            self._saved = (version, states[-1][0])

    with patch.object(Spool, "save", save):
        yield


@planted_in_core("D3")
def cancelled_finish_leaves_its_intent() -> Iterator[None]:
    """A finish that finds its upload cancelled leaves behind what it had noted."""
    real = LayerUpload._remove

    def remove(self: LayerUpload) -> None:
        if not self._finished and self._driver.find(self._keys.started_at) is None:
            self._release()
        else:
            real(self)

    with patch.object(LayerUpload, "_remove", remove):
        yield


@planted_in_core("T1")
def uploads_take_no_turns() -> Iterator[None]:
    """A handle that is called in the middle of one of its own calls goes on as if it were not."""
    with ExitStack() as stack:
        for name in ("write", "seek", "flush", "digest", "finish", "cancel", "close"):
            stack.enter_context(patch.object(LayerUpload, name, getattr(LayerUpload, name).__wrapped__))
        yield

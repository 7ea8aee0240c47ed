"""Defects of the core: cancel, and handles of uploads that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.errors import LayerClosedError
from layerstore.hashing import uploadstate
from layerstore.layout import UploadKeys
from layerstore.service import LayerService
from layerstore.uploads import finish
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.defects.core.finish import written
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("D1")
def cancel_keeps_the_data() -> Iterator[None]:
    """A cancel removes the upload's start time, and leaves its bytes."""
    with patch.object(finish, "remove", lambda driver, keys: driver.delete(keys.started_at)):
        yield


@planted_in_core("D1")
def cancel_forgets_startedat() -> Iterator[None]:
    """A cancel removes the upload's bytes, and leaves its start time."""

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        for key in (keys.data, keys.state, keys.intents):
            driver.delete(key)

    with patch.object(finish, "remove", remove):
        yield


@planted_in_core("D1")
def cancel_takes_the_neighbours() -> Iterator[None]:
    """A cancel removes every upload of the repository."""

    def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
        driver.delete(keys.started_at)
        driver.delete(layout.uploads(keys.name))

    with patch.object(finish, "remove", remove):
        yield


@planted_in_core("D1")
def cancel_takes_the_layer() -> Iterator[None]:
    """A cancel deletes the blob of the bytes so far, in use or not, and after a finish the layer's blob."""
    real = LayerUpload.cancel

    def cancel(self: LayerUpload) -> None:
        digests = set(self._finished)
        if isinstance(self._content, Front):
            digests.add(Digest.of(written(self, self._content)))
        real(self)
        for each in digests:
            if each.algorithm == "sha256":
                self._driver.delete(layout.blob(each))

    with patch.object(LayerUpload, "cancel", cancel):
        yield


@planted_in_core("T3")
def second_cancel_is_an_error() -> Iterator[None]:
    """A second cancel of a handle is an error."""
    real = LayerUpload.cancel

    def cancel(self: LayerUpload) -> None:
        if self._gone:
            raise LayerClosedError(f"upload {self.uuid}")
        real(self)

    with patch.object(LayerUpload, "cancel", cancel):
        yield


@planted_in_core("D2")
def cancel_of_nothing_is_accepted() -> Iterator[None]:
    """A cancel of an unknown upload raises no error."""

    def cancel(self: LayerService, name: str, uuid: str) -> None:
        finish.remove(self.driver, UploadKeys(name, uuid))

    with patch.object(LayerService, "cancel", cancel):
        yield


@planted_in_core("T3")
def cancelled_handle_stays_open() -> Iterator[None]:
    """A cancelled handle accepts bytes."""

    def cancel(self: LayerUpload) -> None:
        finish.remove(self._driver, self._keys)
        self._gone = True

    with patch.object(LayerUpload, "cancel", cancel):
        yield


@planted_in_core("D4", "E4")
def failed_cancel_counts() -> Iterator[None]:
    """A cancel that failed counts as done: repeated, it does nothing."""

    def remove(self: LayerUpload) -> None:
        self._release()
        if not self._gone:
            self._gone = True
            finish.remove(self._driver, self._keys)

    with patch.object(LayerUpload, "_remove", remove):
        yield


@planted_in_core("D3", "F3")
def gone_upload_is_merely_fenced() -> Iterator[None]:
    """A handle of an upload that is gone raises FencedError, as if it had been taken over."""
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
    """A finish that finds its upload cancelled leaves its intent behind."""
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
    """A handle that is called in the middle of one of its own calls does not refuse."""
    with ExitStack() as stack:
        for name in ("write", "seek", "flush", "digest", "finish", "cancel", "close"):
            stack.enter_context(patch.object(LayerUpload, name, getattr(LayerUpload, name).__wrapped__))
        yield

"""Defects of the core: uploads that no other handle knows of, and bytes gathered in front of the backend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from unittest.mock import patch

from layerstore import Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore.contents import survey
from layerstore.errors import LayerClosedError
from layerstore.layer import Layer
from layerstore.layout import UploadKeys
from layerstore.upkeep import purge
from layerstore.uploads import finish
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.defects.core.finish import REAL, first
from layerstore_conformance.engine.defect import planted_in_core

if TYPE_CHECKING:
    from typing_extensions import Buffer


@planted_in_core("P1")
def small_layers_are_spooled() -> Iterator[None]:
    """Every layer, however small, is an upload in the backend first."""

    def spill(self: LayerUpload, front: Front, wanted: Digest) -> None:
        del self, wanted
        front.spill()

    with first(spill):
        yield


@planted_in_core("W6")
def straight_uploads_are_registered() -> Iterator[None]:
    """Every upload whose bytes reach the backend gets a start time, so that others know of it."""

    def register(self: LayerUpload, front: Front, wanted: Digest) -> None:
        del wanted
        if front.spool is not None:
            self._publish(front.spill())

    with first(register):
        yield


@planted_in_core("R1")
def finish_opens_the_layer() -> Iterator[None]:
    """A finish opens the layer that it returns, before anybody reads it."""
    real = LayerUpload.finish

    def finish(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        layer = real(self, digest, size)
        layer._opened()
        return layer

    with patch.object(LayerUpload, "finish", finish):
        yield


@planted_in_core("P1")
def interrupted_finish_is_over() -> Iterator[None]:
    """A finish that is interrupted closes its upload, which then can be neither finished nor cancelled."""
    real = LayerUpload.finish

    def finish(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        try:
            return real(self, digest, size)
        except KeyboardInterrupt:
            self._release()
            self._gone = True
            raise

    with patch.object(LayerUpload, "finish", finish):
        yield


@planted_in_core("E4")
def interrupted_upload_is_not_removed() -> Iterator[None]:
    """After an interruption a cancel only closes the upload: its data stays in the backend."""
    real = LayerUpload._link

    def link(self: LayerUpload, wanted: Digest, size: int | None) -> Digest:
        try:
            return real(self, wanted, size)
        except KeyboardInterrupt:
            self._fenced = True
            raise

    with patch.object(LayerUpload, "_link", link):
        yield


@planted_in_core("P1")
def linked_blob_is_not_looked_for() -> Iterator[None]:
    """A finish does not check that its blob is still there once it is linked."""
    with patch.object(finish, "look", lambda driver, canonical, data: None):
        yield


@planted_in_core("P1")
def lost_blob_is_no_matter() -> Iterator[None]:
    """A finish does not put a small blob again that is gone once it is linked."""

    def look(driver: CheckedDriver, canonical: Digest, data: bytes | None) -> None:
        del data
        driver.find(layout.blob(canonical))

    with patch.object(finish, "look", look):
        yield


@planted_in_core("P1")
def small_blob_is_put_if_missing() -> Iterator[None]:
    """A small layer's blob is put only if there is none."""
    real = finish.verify_and_put

    def put(driver: CheckedDriver, name: str, data: bytes, wanted: Digest) -> Digest:
        if wanted == Digest.of(data) and driver.find(layout.blob(wanted)) is not None:
            return wanted
        return real(driver, name, data, wanted)

    with patch.object(finish, "verify_and_put", put):
        yield


@planted_in_core("P1")
def small_layer_is_linked_first() -> Iterator[None]:
    """A small layer's link is put before its blob."""
    real = finish.verify_and_put

    def put(driver: CheckedDriver, name: str, data: bytes, wanted: Digest) -> Digest:
        if wanted == Digest.of(data):
            finish.link(driver, name, wanted, wanted)
        return real(driver, name, data, wanted)

    with patch.object(finish, "verify_and_put", put):
        yield


@planted_in_core("R5")
def small_layers_are_not_reread() -> Iterator[None]:
    """``verify="reread"`` puts gathered bytes without reading them back."""

    def become_blob(self: LayerUpload, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        if isinstance(self._content, Front) and self._content.spool is None:
            self._verify = "resume"
        return REAL(self, wanted, size)

    with patch.object(LayerUpload, "_become_blob", become_blob):
        yield


@planted_in_core("W9")
def gathered_bytes_are_their_writers() -> Iterator[None]:
    """A small layer is made of the bytes that its callers' buffers hold at the finish."""
    real = LayerUpload.write
    lent: dict[str, list[tuple[int, Buffer]]] = {}

    def write(self: LayerUpload, data: Buffer) -> int:
        lent.setdefault(self.uuid, []).append((self.tell(), data))
        return real(self, data)

    def look(self: LayerUpload, front: Front, wanted: Digest) -> None:
        del wanted
        for offset, data in lent.pop(self.uuid, []):
            front.gather(offset, bytes(memoryview(data)))

    with patch.object(LayerUpload, "write", write), first(look):
        yield


@planted_in_core("W5")
def gathered_bytes_are_never_replaced() -> Iterator[None]:
    """A write before the end of gathered bytes is appended to them."""
    real = Front.gather
    with patch.object(Front, "gather", lambda self, offset, data: real(self, max(offset, self.size), data)):
        yield


@planted_in_core("W4")
def gap_in_front_is_closed() -> Iterator[None]:
    """A write beyond the end of gathered bytes is appended without a gap."""
    real = Front.gather
    with patch.object(Front, "gather", lambda self, offset, data: real(self, min(offset, self.size), data)):
        yield


@planted_in_core("W4")
def a_gap_of_a_byte_is_closed() -> Iterator[None]:
    """A write a byte behind the end of gathered bytes is appended without a gap."""
    real = Front.gather

    def gather(self: Front, offset: int, data: bytes | memoryview) -> bool:
        return real(self, offset - (offset == self.size + 1), data)

    with patch.object(Front, "gather", gather):
        yield


@planted_in_core("T5")
def forked_child_has_what_was_gathered() -> Iterator[None]:
    """A forked child can finish, close and cancel its parent's gathered bytes."""
    with patch.object(LayerUpload, "_check_opened_here", lambda self: None):
        yield


@planted_in_core("L1")
def upload_is_known_at_once() -> Iterator[None]:
    """An upload is stored, listed and resumable from its beginning."""
    real = LayerService.upload

    def upload(self: LayerService, name: str, *, expected: Digest | str | None = None) -> LayerUpload:
        begun = real(self, name, expected=expected)
        begun.flush()
        return begun

    with patch.object(LayerService, "upload", upload):
        yield


@planted_in_core("F3", "D3")
def first_flush_is_not_made_sure_of() -> Iterator[None]:
    """The first flush does not check that the data is still its own once others know of the upload."""

    def begin(driver: CheckedDriver, keys: UploadKeys, started_at: datetime, spool: Spool, becoming: object) -> None:
        del spool, becoming
        driver.put(keys.started_at, f"{started_at:%Y-%m-%dT%H:%M:%SZ}".encode("ascii"))

    with patch.object(finish, "begin", begin), patch.object(Spool, "save", lambda self: None):
        yield


@planted_in_core("M1")
def begun_without_what_it_became() -> Iterator[None]:
    """The first flush of an upload whose data was moved does not say where to."""
    real = finish.begin

    def begin(driver: CheckedDriver, keys: UploadKeys, started_at: datetime, spool: Spool, becoming: object) -> None:
        del becoming
        real(driver, keys, started_at, spool, None)

    with patch.object(finish, "begin", begin):
        yield


@planted_in_core("F1")
def leftovers_are_purged_where_they_are() -> Iterator[None]:
    """A purge removes data without a start time without taking it over: a handle about to add one is not fenced."""
    real = purge._take_away

    def take_away(driver: CheckedDriver, keys: UploadKeys, seen: purge._Sight) -> None:
        if seen.started:
            real(driver, keys, seen)
        else:
            finish.remove(driver, keys)

    with patch.object(purge, "_take_away", take_away):
        yield


@planted_in_core("D1")
def leftovers_are_not_purged() -> Iterator[None]:
    """A purge removes no data without a start time."""
    real = purge._take_away

    def take_away(driver: CheckedDriver, keys: UploadKeys, seen: purge._Sight) -> None:
        if seen.started:
            real(driver, keys, seen)

    with patch.object(purge, "_take_away", take_away):
        yield


@planted_in_core("L1")
def leftovers_are_no_finding() -> Iterator[None]:
    """A scrub does not report data without a start time."""
    real = survey._Surveyor._odd

    def odd(self: survey._Surveyor, kind: survey.FindingKind, key: str, detail: str = "") -> None:
        if kind != "leftover":
            real(self, kind, key, detail)

    with patch.object(survey._Surveyor, "_odd", odd):
        yield


@planted_in_core("E4", "P1")
def half_finished_is_finished() -> Iterator[None]:
    """A finish that failed after its blob was stored counts as done when it is repeated."""
    real = finish.verify_and_put
    put: set[tuple[str, Digest]] = set()

    def once(driver: CheckedDriver, name: str, data: bytes, wanted: Digest) -> Digest:
        canonical = real(driver, name, data, wanted)
        if (name, wanted) in put:
            raise LayerClosedError("an upload that is finished")
        put.add((name, wanted))
        return canonical

    with patch.object(finish, "verify_and_put", once):
        yield

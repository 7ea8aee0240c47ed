"""Defects of the core: uploads whose finish or purge was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.driver import Driver
from layerstore.errors import FencedError, PathNotFoundError
from layerstore.layout import UploadKeys
from layerstore.service import LayerService
from layerstore.upkeep import purge
from layerstore.uploads import finish
from layerstore.uploads.finish import Moved
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core
from layerstore_conformance.kit.passing import PassingDriver

VERIFY = Moved.verify
LOOK = purge._look


@planted_in_core("M1")
def moved_tries_one_blob() -> Iterator[None]:
    """A finish that goes on looks only at the first blob that its data may have become."""

    def verify(self: Moved, wanted: Digest, size: int | None) -> Digest:
        self._blobs = dict([next(iter(self._blobs.items()))])
        return VERIFY(self, wanted, size)

    with patch.object(Moved, "verify", verify):
        yield


@planted_in_core("S1")
def moved_size_is_not_compared() -> Iterator[None]:
    """A finish that goes on ignores the given size."""
    with patch.object(Moved, "verify", lambda self, wanted, size: VERIFY(self, wanted, None)):
        yield


@planted_in_core("S1")
def moved_size_of_any_blob() -> Iterator[None]:
    """An upload that may have become one of two blobs has the size of the first one."""
    with patch.object(Moved, "size", property(lambda self: next(iter(self._blobs.values())))):
        yield


@planted_in_core("M1", "E4")
def purge_makes_data_of_what_was_moved() -> Iterator[None]:
    """A purge does not see that an upload's data has become a blob, and moves data away that it has made."""

    def look(driver: CheckedDriver, keys: UploadKeys, taken: dict[str, datetime]) -> object:
        return LOOK(driver, keys, taken)._replace(moved=False)

    with patch.object(purge, "_look", look):
        yield


@planted_in_core("D3", "F2")
def resume_looks_once() -> Iterator[None]:
    """A resume does not look again whether the upload is still there when it has its data."""

    def content(self: LayerService, keys: UploadKeys, spool: Spool) -> Front | Moved:
        moved = finish.find_moved(self.driver, keys) if spool.version is None else None
        if moved is None:
            return Front(self.driver, keys, spool)
        spool.release()
        return moved

    with patch.object(LayerService, "_content", content):
        yield


@planted_in_core("S1")
def a_start_is_read_without_its_zone() -> Iterator[None]:
    """The start of an upload is taken for UTC, whatever its offset says."""
    started = finish.started_at

    def read(driver: CheckedDriver, keys: UploadKeys) -> datetime:
        started(driver, keys)
        text = driver.get(keys.started_at, 99).decode("ascii")
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    with patch.object(finish, "started_at", read):
        yield


@planted_in_core("D3")
def moved_is_linked_though_cancelled() -> Iterator[None]:
    """A finish that goes on does not look whether the upload is still there."""

    def verify(self: Moved, wanted: Digest, size: int | None) -> Digest:
        self._known = False
        return VERIFY(self, wanted, size)

    with patch.object(Moved, "verify", verify):
        yield


class _Hiding(PassingDriver):
    def __init__(self, inner: Driver, key: str) -> None:
        super().__init__(inner)
        self.key = key

    def list(self, prefix: str) -> Iterator[str]:
        return (each for each in self.inner.list(prefix) if each != self.key)


@planted_in_core("L1")
def purged_is_found_moved() -> Iterator[None]:
    """An upload whose data a purge has taken goes on as the blob of a finish that was refused."""
    real = finish.find_moved

    def find_moved(driver: CheckedDriver, keys: UploadKeys, becoming: Digest | None = None) -> Moved | None:
        return real(CheckedDriver(_Hiding(driver, keys.purged), driver.scheme), keys, becoming)

    with patch.object(finish, "find_moved", find_moved):
        yield


@planted_in_core("F1")
def resume_believes_its_first_look() -> Iterator[None]:
    """A resume at an offset does not compare it once more when it has fenced the others."""
    real = LayerService._taken_over
    with patch.object(LayerService, "_taken_over", lambda self, keys, offset: real(self, keys, None)):
        yield


@planted_in_core("M3")
def taken_data_is_a_missing_key() -> Iterator[None]:
    """A finish whose data a purge takes raises that the key is missing."""
    real = LayerUpload._owning

    @contextmanager
    def owning(self: LayerUpload) -> Iterator[None]:
        try:
            with real(self):
                yield
        except FencedError as error:
            if isinstance(error.__cause__, PathNotFoundError):
                raise error.__cause__ from None
            raise

    with patch.object(LayerUpload, "_owning", owning):
        yield


@planted_in_core("D3")
def first_flush_leaves_its_start() -> Iterator[None]:
    """A first flush whose data a purge has taken leaves an upload of no bytes."""
    real = finish.begin

    def begin(driver: CheckedDriver, keys: UploadKeys, at: datetime, spool: Spool, becoming: Digest | None) -> None:
        with patch.object(finish, "remove", lambda driver, keys: None):
            real(driver, keys, at, spool, becoming)

    with patch.object(finish, "begin", begin):
        yield


@planted_in_core("F1")
def fenced_by_itself_is_left_unknown() -> Iterator[None]:
    """An upload that nobody knows of stays unknown when its own move has fenced its handle."""
    with patch.object(LayerUpload, "_leave_to_others", lambda self, content: None):
        yield


@planted_in_core("W6", "M1")
def moved_is_linked_unsettled() -> Iterator[None]:
    """A finish that goes on looks whether its blob is there, and does not make it durable."""

    def verify(self: Moved, wanted: Digest, size: int | None) -> Digest:
        with patch.object(CheckedDriver, "settle", lambda self, key: self.find(key) is not None):
            return VERIFY(self, wanted, size)

    with patch.object(Moved, "verify", verify):
        yield

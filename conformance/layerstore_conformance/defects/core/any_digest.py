"""Defects of the core: finishes by another digest than sha256, and uploads that may have become two blobs."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.uploads import finish
from layerstore.uploads.finish import Moved
from layerstore_conformance.engine.defect import planted_in_core

VERIFY = Moved.verify


@planted_in_core("M1", "P1")
def moved_blob_is_read_for_what_was_asked() -> Iterator[None]:
    """A finish that goes on reads its blob for the digest that was asked for, and not for the blob's own."""
    real = Moved._read_back

    def verify(self: Moved, wanted: Digest, size: int | None) -> Digest:
        with patch.object(Moved, "_read_back", lambda self, canonical, _: real(self, canonical, wanted)):
            return VERIFY(self, wanted, size)

    with patch.object(Moved, "verify", verify):
        yield


@planted_in_core("S1", "M1")
def healed_blob_has_its_old_size() -> Iterator[None]:
    """A finish that goes on has the size of the blob that was there when the upload was resumed."""
    real = Moved._read_back

    def read_back(self: Moved, canonical: Digest, wanted: Digest) -> None:
        before = self._blobs[canonical]
        real(self, canonical, wanted)
        self._blobs[canonical] = before

    with patch.object(Moved, "_read_back", read_back):
        yield


@planted_in_core("S1")
def layer_of_two_blobs_has_the_longer_size() -> Iterator[None]:
    """A layer finished out of one of two blobs has the size of the longer one."""
    with patch.object(Moved, "size_of", lambda self, canonical: self.size):
        yield


@planted_in_core("E4", "M1")
def taken_tarsum_is_noticed_late() -> Iterator[None]:
    """A finish notices that other bytes have its tarsum when its data has become a blob."""
    real = finish.verify

    def verify(*args: object) -> Digest:
        with patch.object(links, "check_free", lambda *args: None):
            return real(*args)  # type: ignore[arg-type]  # passed on

    with patch.object(finish, "verify", verify):
        yield


@planted_in_core("E4", "M1")
def taken_tarsum_of_a_small_layer_is_noticed_late() -> Iterator[None]:
    """A finish of a small layer notices that other bytes have its tarsum when the blob is put."""
    real = finish.verify_and_put

    def verify_and_put(*args: object) -> Digest:
        with patch.object(links, "check_free", lambda *args: None):
            return real(*args)  # type: ignore[arg-type]  # passed on

    with patch.object(finish, "verify_and_put", verify_and_put):
        yield

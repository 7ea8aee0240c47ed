"""Defects of the core: uploads that others know of, and uploads that say so."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

from layerstore.digest import Digest
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core

DIGEST = LayerUpload.digest


@planted_in_core("W6")
def a_digest_makes_known() -> Iterator[None]:
    """A digest makes an upload known, though its bytes were hashed on their way in."""

    def digest(self: LayerUpload) -> Digest:
        front = self._content
        if isinstance(front, Front) and front.spool is not None:
            self._publish(front.spill())
        return DIGEST(self)

    with patch.object(LayerUpload, "digest", digest):
        yield


@planted_in_core("W6", "W7")
def a_digest_that_reads_back_is_not_told() -> Iterator[None]:
    """A digest that reads bytes back publishes them, and lets nobody know of the upload."""

    def digest(self: LayerUpload) -> Digest:
        with patch.object(LayerUpload, "_publish", lambda self, spool: Spool.publish(spool)):
            return DIGEST(self)

    with patch.object(LayerUpload, "digest", digest):
        yield


@planted_in_core("E4")
def begun_is_known() -> Iterator[None]:
    """An upload says that others know of it as soon as that was attempted."""
    with patch.object(LayerUpload, "known", property(lambda self: self._begun)):
        yield


@planted_in_core("M1")
def moved_upload_has_the_digest_of_nothing() -> Iterator[None]:
    """An upload whose data has become a blob has a digest, of no bytes."""

    def digest(self: LayerUpload) -> Digest:
        return Digest.of(b"") if self.moved and not self.closed else DIGEST(self)

    with patch.object(LayerUpload, "digest", digest):
        yield

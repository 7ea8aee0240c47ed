"""Defects of the core: local times, and times of something else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.layer import Layer
from layerstore.layout import UploadKeys
from layerstore.upkeep import purge
from layerstore.uploads import finish
from layerstore.uploads.upload import LayerUpload
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("S1")
def quarantined_in_local_time() -> Iterator[None]:
    """A damaged blob is kept under the local time, which is called UTC."""
    real = layout.quarantined
    with patch.object(layout, "quarantined", lambda digest, at: real(digest, at.astimezone())):
        yield


@planted_in_core("S1")
def begun_in_local_time() -> Iterator[None]:
    """The start of an upload is stored in local time, which is called UTC."""
    real = finish.put_start

    def put_start(driver: CheckedDriver, keys: UploadKeys, started_at: datetime) -> None:
        real(driver, keys, started_at.astimezone())

    with patch.object(finish, "put_start", put_start):
        yield


@planted_in_core("S1")
def purged_by_local_time() -> Iterator[None]:
    """A purge takes the local time for that of the stored objects."""
    real = purge.purge

    def run(*args: Any, now: datetime | None = None, **options: Any) -> purge.PurgeReport:  # noqa: ANN401  (passed on)
        return real(*args, now=now or datetime.now().astimezone().replace(tzinfo=UTC), **options)

    with patch.object(purge, "purge", run):
        yield


@planted_in_core("S1")
def created_when_it_was_begun() -> Iterator[None]:
    """A layer that was just finished bears the time at which its upload was begun."""
    real = LayerUpload.finish

    def of_start(self: LayerUpload, digest: Digest | str, size: int | None = None) -> Layer:
        layer = real(self, digest, size)
        layer.created_at = self.started_at
        return layer

    with patch.object(LayerUpload, "finish", of_start):
        yield

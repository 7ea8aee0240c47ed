"""Defects of the core: calls that are refused and keep what they have opened."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import layerstore.service
from layerstore.checked import CheckedDriver
from layerstore.digest import Digest
from layerstore.layer import Layer, open_layer
from layerstore.layout import UploadKeys
from layerstore.service import LayerService
from layerstore.uploads.finish import Moved
from layerstore.uploads.front import Front
from layerstore.uploads.spool import Spool
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("T4")
def layer_that_is_refused_stays_open() -> Iterator[None]:
    """A layer whose blob cannot have its size is refused, and its reader stays open."""

    def leave_open(driver: CheckedDriver, name: str, digest: Digest) -> Layer:
        with patch.object(Layer, "close", lambda self: None):
            return open_layer(driver, name, digest)

    with patch.object(layerstore.service, "open_layer", leave_open):
        yield


@planted_in_core("T4")
def upload_that_is_refused_stays_open() -> Iterator[None]:
    """A resume that is refused when it has opened the upload leaves its writer open."""
    real = LayerService._taken_over

    def taken_over(self: LayerService, keys: UploadKeys, offset: int | None) -> Front | Moved:
        with patch.object(Spool, "release", lambda self: None):
            return real(self, keys, offset)

    with patch.object(LayerService, "_taken_over", taken_over):
        yield

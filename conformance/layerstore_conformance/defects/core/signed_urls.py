"""Defects of the core: signed URLs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import patch

import layerstore.service
from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import UnknownLayerError
from layerstore.fslayer import FSLayer
from layerstore.layer import signed_url
from layerstore.service import SIGNED
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("R3")
def signed_url_of_no_layer() -> Iterator[None]:
    """A signed URL is given of a link's blob, whether that is there and of a size that it can have or not."""

    def sign(driver: CheckedDriver, name: str, digest: Digest, lasts: timedelta) -> str | None:
        canonical = links.read(driver, name, digest)
        if canonical is None:
            raise UnknownLayerError(name, FSLayer(str(digest)))
        return driver.redirect_url(layout.blob(canonical), lasts)

    with patch.object(layerstore.service, "signed_url", sign):
        yield


@planted_in_core("R3")
def signed_url_lasts_always_the_same() -> Iterator[None]:
    """A signed URL lasts as long as ever, whatever is asked for."""
    with patch.object(
        layerstore.service, "signed_url", lambda driver, name, digest, lasts: signed_url(driver, name, digest, SIGNED)
    ):
        yield


@planted_in_core("R3")
def signed_url_of_what_goes_is_a_missing_key() -> Iterator[None]:
    """A layer that goes while its URL is signed raises that a key is missing."""

    def sign(driver: CheckedDriver, name: str, digest: Digest, lasts: timedelta) -> str | None:
        signed_url(driver, name, digest, lasts)
        canonical = links.read(driver, name, digest)
        return None if canonical is None else driver.redirect_url(layout.blob(canonical), lasts)

    with patch.object(layerstore.service, "signed_url", sign):
        yield

"""Defects of the core: links that are renewed, or put anew, and condemned all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import DriverError, FencedError
from layerstore_conformance.engine.defect import planted_in_core

RENEW = links.renew
SPELL = links.spell


@planted_in_core("E1")
def renewed_if_it_can_be_read() -> Iterator[None]:
    """A condemned link that cannot be written counts as renewed."""

    def spell(driver: CheckedDriver, key: str) -> bool:
        try:
            return SPELL(driver, key)
        except FencedError:
            raise
        except DriverError:
            return True

    with patch.object(links, "spell", spell):
        yield


@planted_in_core("F2")
def fenced_renew_is_done() -> Iterator[None]:
    """A renewal that is fenced takes whoever fenced it for one who renews."""

    def spell(driver: CheckedDriver, key: str) -> bool:
        with suppress(FencedError):
            return SPELL(driver, key)
        return True

    with patch.object(links, "spell", spell):
        yield


@planted_in_core("S1")
def renewed_if_condemned() -> Iterator[None]:
    """A link that is not condemned yet is not renewed, however old it is."""
    with patch.object(links, "_is_old", lambda driver, key: False):
        yield


@planted_in_core("E1", "S1")
def unwritten_renew_hides_the_layer() -> Iterator[None]:
    """A link that is not condemned and cannot be written is told as a failure."""

    def renew(driver: CheckedDriver, key: str) -> Digest | None:
        target = RENEW(driver, key)
        if target is not None and links._is_old(driver, key):
            SPELL(driver, key)
        return target

    with patch.object(links, "renew", renew):
        yield


@planted_in_core("S1", "F2")
def condemned_at_any_age() -> Iterator[None]:
    """A collection condemns a link that was put since it was looked at."""
    real = links.write_into

    def write_into(
        driver: CheckedDriver, key: str, text: bytes, *, at_end: bool = False, before: datetime | None = None
    ) -> str | None:
        del before
        return real(driver, key, text, at_end=at_end)

    with patch.object(links, "write_into", write_into):
        yield

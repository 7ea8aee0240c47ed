"""Uploads that are old, and the moments at which they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore.layout import UploadKeys
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import begin

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

WEEK = timedelta(days=7)
LONG_AGO = b"2001-02-03T04:05:06Z"
SMALL = 700
"""Bytes."""


def later(age: timedelta = WEEK) -> datetime:
    """Return a moment at which everything stored by now is a day older than this: clocks differ by less."""
    return datetime.now(UTC) + age + timedelta(days=1)


def newest(ctx: Context, uuid: str) -> datetime:
    """Return when a key of an upload was last stored, by the backend's clock."""
    driver = ctx.open()
    return max(driver.stat(key).modified for key in keys_below(driver, UploadKeys("a", uuid).prefix))


def old(ctx: Context, name: str, data: bytes) -> str:
    """Begin an upload whose start time is long ago, and return its id."""
    uuid = begin(ctx.service(), name, data)
    ctx.open().put(UploadKeys(name, uuid).started_at, LONG_AGO)
    return uuid

"""Ask the driver alone for every key below a prefix, and for one: the core has functions for it that are under test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerstore import Driver

ROOT = "layerstore-conformance"
"""The suite stores everything below this key, but for a few keys of the full length, and some names at the top."""

WHOLE = 1 << 40
"""A number of bytes larger than any object of the suite, to read one whole."""


def keys_below(driver: Driver, prefix: str) -> Iterator[str]:
    """Yield every key below a prefix, at any depth.

    Raises:
        AssertionError: a listing tells a child out of order, twice or from elsewhere. It may go on for ever then.
    """
    last = below = f"{prefix}/" if prefix else ""
    for child in driver.list(prefix):
        if child <= last or not child.startswith(below):
            raise AssertionError(f"the listing of {prefix or 'the top'} tells {child} after {last or 'nothing'}")
        last = child
        if child.endswith("/"):
            yield from keys_below(driver, child.rstrip("/"))
        else:
            yield child


def is_stored(driver: Driver, key: str) -> bool:
    """Return whether an object is published under a key."""
    try:
        driver.stat(key)
    except PathNotFoundError:
        return False
    return True

"""Listing and deleting below a prefix (clauses L1 to L5, D1 to D4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError
from layerstore_drivers.azure.blobs import BATCH

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.found import Found

PEEK = 100
"""Blobs looked at in one request, below a prefix that may hold none but those that are no objects."""


def children(blobs: Blobs, prefix: str) -> Iterator[str]:
    """Yield what lies directly below a prefix, in order.

    What is below it is looked at as a whole first, and that is all unless it is more than a page. Beyond that one asks
    for the children only; the service names every prefix that a blob is below, and whether any is an object is asked
    for each.
    """
    below = f"{prefix}/" if prefix else ""
    page, more = blobs.first_page(below)
    known = _children(page, below)
    if not more:
        yield from sorted(known)
        return
    for children_page in blobs.children(below):
        for name, found in children_page:
            if name in known or _is_child(blobs, name, found):
                yield name


def delete(blobs: Blobs, key: str) -> None:
    """Delete a blob, and all that are below its key."""
    with suppress(PathNotFoundError):
        blobs.delete(key)
    for page in blobs.pages(f"{key}/"):
        names = [name for name, _ in page]
        for start in range(0, len(names), BATCH):
            blobs.delete_all(names[start : start + BATCH])


def is_object(name: str, found: Found) -> bool:
    """Tell whether a blob is an object, and not the driver's own, a folder's marker or a name that is no key."""
    return found.size is not None and not any(part.startswith(".") or not part for part in name.split("/"))


def _children(page: list[tuple[str, Found]], below: str) -> set[str]:
    """Return the children that a page of blobs lies in."""
    names = (name for name, found in page if is_object(name, found))
    return {name[: name.find("/", len(below)) + 1] or name for name in names}


def _is_child(blobs: Blobs, name: str, found: Found | None) -> bool:
    if found is not None:
        return is_object(name, found)
    if name.rstrip("/").rpartition("/")[2].startswith("."):
        return False
    return any(is_object(*each) for page in blobs.pages(name, page=PEEK) for each in page)

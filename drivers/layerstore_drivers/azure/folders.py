"""Folders, as an account with a hierarchical namespace has them: made with what lies in them, and kept when empty."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.errors import FencedError, PathNotFoundError

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.found import Found


def delete_folders(blobs: Blobs, names: Iterable[str]) -> None:
    """Delete folders, the deepest first; one in which somebody has stored something meanwhile stays."""
    for name in sorted(names, key=lambda name: name.count("/"), reverse=True):
        blobs.delete_folder(name)


def make_way(blobs: Blobs, key: str) -> bool:
    """Take away what is in the place of a key, or of a folder above it, and is no object; tell whether it was that.

    That is folders in which nothing is, and keys that a writer has reserved, which loses them.
    """
    parts = key.split("/")
    for count in range(1, len(parts)):
        above = "/".join(parts[:count])
        found = blobs.find(above)
        if found is not None and not found.is_folder:
            return _let_go(blobs, above, found)
    found = blobs.find(key)
    return found is not None and found.is_folder and _clear(blobs, key)


def _clear(blobs: Blobs, folder: str) -> bool:
    folders = [folder]
    for page in blobs.pages(f"{folder}/"):
        for name, found in page:
            if found.is_folder:
                folders.append(name)
            elif not _let_go(blobs, name, found):
                return False
    delete_folders(blobs, folders)
    return True


def _let_go(blobs: Blobs, key: str, found: Found) -> bool:
    """Delete a blob that a writer has reserved, and nothing else."""
    if not found.is_reserved:
        return False
    with suppress(FencedError, PathNotFoundError):
        blobs.delete(key, found.etag)
    return True

"""Listing and deleting below a prefix (clauses L1 to L6, D1 to D5), and folders.

Below a prefix lie objects, blobs that the driver keeps for itself (keys that a writer has reserved), markers that tools
leave for folders, and foreign blobs, whose names are no keys. An account with a hierarchical namespace has real
folders: it makes them with the blobs in them, and keeps them when they are empty.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.driver import Foreign, Scanned, Unpublished
from layerstore.errors import FencedError, PathNotFoundError, UnsupportedOperationError
from layerstore.keys import is_harmless, is_key
from layerstore_drivers.azure.blobs import BATCH

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.found import Found


PEEK = 100
"""Blobs looked at in the first request below a prefix: mostly one of them is an object."""

NEAR_TOP = 4
"""With so many slashes in a prefix, an empty listing is no surprise: the prefix of all repositories has three."""

_log = logging.getLogger(__name__)


def children(blobs: Blobs, prefix: str) -> Iterator[str]:
    """Yield the keys and prefixes directly below a prefix, in order."""
    return (child for child in scan(blobs, prefix) if isinstance(child, str))


def scan(blobs: Blobs, prefix: str) -> Iterator[Scanned]:
    """Yield keys, prefixes, foreign things and keys that writers have reserved, directly below a prefix, in order.

    The first request asks for a page of everything below the prefix, and mostly that is all of it. Otherwise the
    service is asked for the children only. It names every prefix that has a blob below it; whether one of these is an
    object takes a request for each, unless the prefix itself is no key.
    """
    below = f"{prefix}/" if prefix else ""
    page, more = blobs.first_page(below)
    if not page:
        _hint(blobs, prefix)
    known = _children(page, below)
    if not more:
        yield from (known[name] for name in sorted(known))
        return
    for children_page in blobs.children(below):
        for name, found in children_page:
            child = known.get(name)
            if not isinstance(child, str):  # beside a foreign blob in this page, the next may have an object
                child = _child(blobs, name, found)
            if child is not None:
                yield child


def delete(blobs: Blobs, key: str) -> None:
    """Delete a blob, and all below its key that is not foreign; then the empty folders, the deepest first.

    With a hierarchical namespace, folders lie among the blobs. One in which somebody has stored something meanwhile is
    not empty, and stays.
    """
    folders: list[str] = []
    try:
        blobs.delete(key)
    except PathNotFoundError:
        pass
    except UnsupportedOperationError:  # it is a folder itself
        folders.append(key)
    for page in blobs.pages(f"{key}/"):
        folders += [name for name, found in page if _is_folder(name, found) and is_key(name.removesuffix("/"))]
        names = [name for name, found in page if is_key(name) and not _is_folder(name, found)]
        for start in range(0, len(names), BATCH):
            blobs.delete_all(names[start : start + BATCH])
    delete_folders(blobs, folders)


def is_object(name: str, found: Found) -> bool:
    """Return whether a blob is an object: neither the driver's own, nor a folder's marker, nor foreign."""
    return found.size is not None and is_key(name) and not _is_folder(name, found)


def _is_folder(name: str, found: Found) -> bool:
    """Return whether a blob of no bytes stands for a folder."""
    return found.is_folder or (name.endswith("/") and not found.blob_size)


def _is_foreign(name: str, found: Found) -> bool:
    """Return whether a blob is neither an object, nor the driver's, nor below a name that is known to be harmless."""
    if is_key(name) or _is_folder(name, found):
        return False
    *folders, last = name.split("/")
    return not is_harmless(next((f"{part}/" for part in folders if not is_key(part)), last))


def _children(page: Iterable[tuple[str, Found]], below: str) -> dict[str, Scanned]:
    """Return the children that a page of blobs lies in, by name."""
    known: dict[str, Scanned] = {}
    for name, found in page:
        child = name[: name.find("/", len(below)) + 1] or name
        if is_object(name, found):
            known[child] = child
        elif _is_foreign(name, found):
            if not isinstance(known.get(child), str):
                known[child] = _foreign(child, name)
        elif is_key(name) and not _is_folder(name, found):
            known.setdefault(child, Unpublished(child, found.modified))
    return known


def _child(blobs: Blobs, name: str, found: Found | None) -> Scanned | None:
    """Return a child that the service names; None if there is nothing below it but markers of folders."""
    if found is not None:
        return _children([(name, found)], name).get(name)
    if not is_key(name.removesuffix("/")):
        return _foreign(name, name)
    page, more = blobs.first_page(name, page=PEEK)
    child = _children(page, name.removesuffix("/")).get(name)
    if isinstance(child, str) or not more:
        return child
    for rest in blobs.pages(name):
        found_there = _children(rest, name.removesuffix("/")).get(name)
        if isinstance(found_there, str):
            return found_there
        child = found_there if child is None or isinstance(found_there, Foreign) else child
    return child


def _foreign(child: str, name: str) -> Foreign:
    """Say why a child is no key, or why the one blob found below it is none."""
    if child != name and is_key(child.removesuffix("/")):
        return Foreign(child, f"no object, and the blob {name!r}, whose name is no key")
    return Foreign(child, "a folder whose name is no key" if child.endswith("/") else "a blob whose name is no key")


def _hint(blobs: Blobs, prefix: str) -> None:
    """Say once that a store that looks empty may be one whose blobs' names begin with a slash, or do not."""
    if blobs.hinted or prefix.count("/") >= NEAR_TOP:
        return
    blobs.hinted = True
    if elsewhere := blobs.beside_slash(f"{prefix}/" if prefix else ""):
        _log.warning("no blob below %r, but some below %r: the option leading_slash says which are meant", *elsewhere)


def delete_folders(blobs: Blobs, names: Iterable[str]) -> None:
    """Delete folders, the deepest first; one in which somebody has stored something meanwhile stays."""
    for name in sorted(names, key=lambda name: name.count("/"), reverse=True):
        blobs.delete_folder(name)


def make_way(blobs: Blobs, key: str) -> bool:
    """Remove a thing in the place of a key, or of a folder above it, that is no object; return whether there was one.

    It is an empty folder, or a key that a writer has reserved; the writer loses it.
    """
    parts = key.split("/")
    for count in range(1, len(parts)):
        above = "/".join(parts[:count])
        found = blobs.find(above)
        if found is not None and not found.is_folder:
            return _let_go(blobs, above, found)
    found = blobs.find(key)
    return found is not None and found.is_folder and _clear(blobs, key)


def check_place(blobs: Blobs, key: str) -> None:
    """Look whether anything is in the way of a key, where there are folders; a move fences its source before it copies.

    Raises:
        UnsupportedOperationError: a folder lies there, or a blob lies in the place of a folder above.
    """
    found = blobs.find(key)
    if found is not None and found.is_folder:
        raise UnsupportedOperationError(key, "a folder lies there")
    above = key
    while found is None and "/" in above:
        above = above.rpartition("/")[0]
        found = blobs.find(above)
        if found is not None and not found.is_folder:
            raise UnsupportedOperationError(key, f"a blob lies in the place of the folder {above!r}")


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

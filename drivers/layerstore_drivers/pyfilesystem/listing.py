"""Lists the keys and prefixes below a prefix, in order (clauses L1 to L6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from layerstore.driver import Foreign
from layerstore.keys import is_harmless, is_key
from layerstore.layout import link_above
from layerstore_drivers.pyfilesystem.drafts import DIRECTORY

if TYPE_CHECKING:
    from layerstore_drivers.pyfilesystem.filesystems import Entry, Filesystem


class Tree(Protocol):
    """The part of a store that a listing needs."""

    files: Filesystem

    def turn(self, key: str) -> AbstractContextManager[None]:
        """Use the connected filesystem alone during the block. Its errors are about ``key``."""

    def path(self, key: str) -> str:
        """Return the path of a key in the filesystem."""

    def look(self, key: str) -> Entry | None:
        """Return the thing under a key; the store itself must be there (clause E2)."""


def children(tree: Tree, prefix: str) -> Iterator[str]:
    """Yield the keys and prefixes directly below a prefix. A directory that holds no key is left out."""
    return (child for child in _children(tree, prefix) if isinstance(child, str))


def scanned(tree: Tree, prefix: str) -> Iterator[str | Foreign]:
    """Yield the same, and things that are no objects. Of a directory without an object, yield the first one below."""
    with tree.turn(prefix):
        obstacle = _in_the_way(tree, prefix)
    if obstacle is None:
        yield from _children(tree, prefix)
    else:
        yield obstacle


def first(tree: Tree, prefix: str) -> str | Foreign | None:
    """Return a prefix, which ends in a slash, if an object lies below it; otherwise a foreign thing there, or None.

    The first one found decides.
    """
    foreign: Foreign | None = None
    for child in _inside(tree, prefix):
        found = first(tree, child) if isinstance(child, str) and child.endswith("/") else child
        if isinstance(found, str):
            return prefix
        foreign = foreign or (found if found and not is_harmless(found.name) else None)
    if foreign is None and link_above(prefix):
        return Foreign(prefix, "a directory in the place of a link")
    return foreign


def parents(key: str) -> Iterator[str]:
    """Yield the prefixes above a key, the nearest first, without the top of the store."""
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


def _children(tree: Tree, prefix: str) -> Iterator[str | Foreign]:
    with tree.turn(prefix):
        tree.look(prefix)
        found = _below(tree, prefix)
    for child in sorted(found, key=lambda child: child if isinstance(child, str) else child.name):
        if isinstance(child, Foreign) or not child.endswith("/"):
            yield child
            continue
        with tree.turn(prefix):
            holds = first(tree, child)
        if holds is not None:
            yield holds


def _in_the_way(tree: Tree, prefix: str) -> Foreign | None:
    """Return the thing in the place of a prefix, or of a segment above, that is neither a directory nor a file."""
    places = [prefix, *parents(prefix)][::-1] if tree.files.has_links and prefix else []
    for place in places:
        entry = tree.files.find(tree.path(place))
        if entry is None or entry.is_file:
            return None
        if not entry.is_dir:
            return Foreign(place, _kind(entry))
    return None


def _inside(tree: Tree, prefix: str) -> list[str | Foreign]:
    """Return the things in a directory, its directories last."""
    try:
        found = _below(tree, prefix[:-1])
    except PermissionError:
        if is_harmless(prefix):  # lost+found is root's
            return []
        raise
    return sorted(found, key=lambda child: isinstance(child, str) and child.endswith("/"))


def _below(tree: Tree, prefix: str) -> list[str | Foreign]:
    """Return, in any order, the keys directly below a prefix, the directories with a slash, and foreign things."""
    above = f"{prefix}/" if prefix else ""
    entries = tree.files.scan(tree.path(prefix))
    return [_child(entry, above + entry.name) for entry in entries if above or entry.name != DIRECTORY]


def _child(entry: Entry, path: str) -> str | Foreign:
    printable = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if entry.is_dir:
        return f"{path}/" if is_key(path) else Foreign(f"{printable}/", "a directory whose name is no key")
    if entry.is_file:
        return path if is_key(path) else Foreign(printable, "a file whose name is no key")
    return Foreign(printable, _kind(entry))


def _kind(entry: Entry) -> str:
    return "a symlink" if entry.is_link else "a special file"

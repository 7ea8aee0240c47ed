"""Deleting an object, and everything below a prefix (clauses D1 to D5)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from layerstore.errors import PathNotFoundError
from layerstore.keys import is_key
from layerstore_drivers.local.area import RECORDS, Area
from layerstore_drivers.local.fencing import fence, replacing
from layerstore_drivers.local.locks import closing_fd
from layerstore_drivers.local.tree import Tree
from layerstore_drivers.local.walk import remove_directories, visit


def delete(tree: Tree, area: Area, key: str) -> None:
    """Delete an object and all below; durable on return.

    Key by key, each whole: no lock is held longer, and whoever opens a writer meanwhile is before or after its key's
    turn.
    """
    for name in _keys_with_writers(area, key):
        with area.lock(name) as lock, lock.held():
            fence(tree, area, name)
    try:
        with tree.parent(key) as (parent, name):
            tree.forget(key)
            if not _remove_object(tree, area, parent, name, key):
                _remove_below(tree, area, parent, name, key)
            os.fsync(parent)
    except PathNotFoundError:
        tree.sync_lowest(key)  # who removed the directories above may have died before that was durable


def _keys_with_writers(area: Area, key: str) -> Iterator[str]:
    """Yield the key if it has a record, and those below that have one: objects, or not published yet."""
    with closing_fd(area.make(RECORDS)) as directory:
        for name in os.listdir(directory):
            found = area.key_of(name, directory)
            if found is not None and f"{found}/".startswith(f"{key}/"):
                yield found


def _remove_object(tree: Tree, area: Area, parent: int, name: str, key: str) -> bool:
    """Remove a regular file; tell whether there was one, and so no directory."""
    with area.lock(key) as lock, lock.held(), suppress(FileNotFoundError):
        if stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            with replacing(tree, area, key):
                os.unlink(name, dir_fd=parent)
            return True
    return False


def _remove_below(tree: Tree, area: Area, parent: int, name: str, key: str) -> None:
    """Remove the objects below, and the directories that are empty then: what is foreign stays where it is (D5)."""
    directories = []
    for path, directory, files in visit(parent, name, _may_be_ours):
        directories.append(path)
        for file in files:
            below = f"{key}{path[len(name) :]}/{file}"
            if is_key(below):
                _remove_object(tree, area, directory, file, below)
    remove_directories(parent, directories)


def _may_be_ours(path: str) -> bool:
    """Tell whether a directory may be part of a key, though perhaps of one that is too long: an empty one goes."""
    return is_key(path.rpartition("/")[2])

"""Deletes keys and prefixes (clauses D1 to D5), and removes the leftovers of killed processes."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from layerstore.errors import DriverError, PathNotFoundError
from layerstore.keys import is_key
from layerstore_drivers.local.area import RECORDS, SESSIONS, TEMPORARY, Area, lock_name, read_at, record_name
from layerstore_drivers.local.fencing import fence, is_at_rest, replacing
from layerstore_drivers.local.listing import remove_directories, visit
from layerstore_drivers.local.locks import bury, is_alive
from layerstore_drivers.local.system import closing_fd
from layerstore_drivers.local.tree import Tree


def delete(tree: Tree, area: Area, key: str) -> None:
    """Delete an object and all below; durable on return.

    Keys are deleted one by one, each under its own lock. A writer that is opened meanwhile comes before or after the
    deletion of its key.
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
        tree.sync_lowest(key)  # the process that removed the directories may have died before this was durable


def _keys_with_writers(area: Area, key: str) -> Iterator[str]:
    """Yield the key if it has a record, and those below that have one: objects, or not published yet."""
    with closing_fd(area.make(RECORDS)) as directory:
        for name in os.listdir(directory):
            found = area.key_of(name, directory)
            if found is not None and f"{found}/".startswith(f"{key}/"):
                yield found


def _remove_object(tree: Tree, area: Area, parent: int, name: str, key: str) -> bool:
    """Remove a regular file. Return whether there was one, and so no directory."""
    with area.lock(key) as lock, lock.held(), suppress(FileNotFoundError):
        if stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            with replacing(tree, area, key):
                os.unlink(name, dir_fd=parent)
            return True
    return False


def _remove_below(tree: Tree, area: Area, parent: int, name: str, key: str) -> None:
    """Remove the objects below, and directories that are empty then. Foreign things stay where they are (D5)."""
    directories = []
    for path, directory, files in visit(parent, name, _may_be_ours):
        directories.append(path)
        for file in files:
            below = f"{key}{path[len(name) :]}/{file}"
            if is_key(below):
                _remove_object(tree, area, directory, file, below)
    remove_directories(parent, directories)


def _may_be_ours(path: str) -> bool:
    """Return whether a directory may be part of a key, or of one that is too long: an empty one goes."""
    return is_key(path.rpartition("/")[2])


_RECORD = re.compile("[0-9a-f]{64}")


def sweep(tree: Tree, area: Area) -> None:
    """Remove the leftovers of sessions that are over, and cut off their unflushed bytes.

    Leftovers that cannot be removed now are left to the next sweep: no operation fails for them.
    """
    with closing_fd(area.make(SESSIONS)) as sessions:
        with closing_fd(area.make(TEMPORARY)) as directory:
            for name in os.listdir(directory):
                if not is_alive(sessions, name.partition(".")[0]):
                    with suppress(OSError):
                        _remove_file(directory, name)
        for name in _records(area):
            with suppress(OSError, DriverError):
                _sweep_record(tree, area, sessions, name)
        for name in os.listdir(sessions):
            with suppress(OSError):
                bury(sessions, name)


def _records(area: Area) -> Iterator[str]:
    with closing_fd(area.make(RECORDS)) as directory:
        yield from filter(_RECORD.fullmatch, os.listdir(directory))


def _sweep_record(tree: Tree, area: Area, sessions: int, name: str) -> None:
    """Fence a writer that is dead, and remove a note on a file that is gone."""
    with area.lock_named(lock_name(name)) as lock, lock.held(patience=0), closing_fd(area.make(RECORDS)) as directory:
        found = read_at(directory, name)
        if found is None or record_name(found.key) != name:
            # Only a loss of power leaves such a record, and only of a file without unflushed bytes.
            _remove_file(directory, name)
        elif not found.owned:
            if not is_at_rest(tree, found.key, found.state):
                fence(tree, area, found.key, noting=True)
        elif not is_alive(sessions, found.session):
            fence(tree, area, found.key, noting=True)


def _remove_file(directory: int, name: str) -> None:
    """Remove a file. Anything else that another program may have put there stays."""
    if stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=directory)

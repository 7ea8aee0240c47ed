"""Put a finished file under its key."""

from __future__ import annotations

import os
from contextlib import suppress

from layerstore.errors import BackendUnavailableError, UnsupportedOperationError
from layerstore_drivers.local.tree import Tree
from layerstore_drivers.local.walk import remove_directories, visit

ATTEMPTS = 100
"""How often directories may vanish between their making and their use, before that is an error."""


def install(tree: Tree, source: int, name: str, key: str) -> None:
    """Rename a durable file, ``name`` in the directory ``source``, to where ``key`` belongs; not yet durably.

    Raises:
        UnsupportedOperationError: another key is above or below (clause C2).
        AccessDeniedError: a symlink or special file is in the way.
    """
    for _ in range(ATTEMPTS):
        # Not found: a directory on the way was deleted with its prefix, just after it was made.
        with suppress(FileNotFoundError), tree.made_parent(key) as (parent, target):
            tree.refuse_no_object(parent, target, key)
            _rename(source, name, parent, target, key)
            return
    raise BackendUnavailableError(key, "the file to put there, or the directory for it, is gone")


def _rename(source: int, name: str, parent: int, target: str, key: str) -> None:
    try:
        os.rename(name, target, src_dir_fd=source, dst_dir_fd=parent)
    except IsADirectoryError:
        # With no object in it, it is nothing (clause K3), but in the way.
        remove_directories(parent, [path for path, _ in visit(parent, target)])
        try:
            os.rename(name, target, src_dir_fd=source, dst_dir_fd=parent)
        except IsADirectoryError as error:
            raise UnsupportedOperationError(key, "something is below it that is no object") from error

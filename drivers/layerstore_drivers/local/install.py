"""Put a finished file under its key."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from layerstore.errors import BackendUnavailableError, UnsupportedOperationError
from layerstore_drivers.local.tree import Place, Tree, VanishedError
from layerstore_drivers.local.walk import remove_directories, visit

T = TypeVar("T")

ATTEMPTS = 100
"""How often directories may vanish between their making and their use, before that is an error."""


def in_place(tree: Tree, key: str, act: Callable[[Place], T]) -> T:
    """Do something where a key belongs; again, if the directory was deleted with its prefix just after it was made.

    Raises:
        UnsupportedOperationError: another key is above (clause C2).
        AccessDeniedError: a symlink or special file is in the way.
    """
    for _ in range(ATTEMPTS):
        with suppress(VanishedError), tree.place(key) as place:
            return act(place)
    raise BackendUnavailableError(key, "the file to put there, or the directory for it, is gone")


def install(tree: Tree, source: int, name: str, place: Place, key: str) -> None:
    """Rename a durable file, ``name`` in the directory ``source``, to where ``key`` belongs; not yet durably.

    Raises:
        UnsupportedOperationError: another key is below (clause C2).
        AccessDeniedError: a symlink or special file is in the way.
        VanishedError: the directory, or the file, is gone.
    """
    if not place.new:
        tree.refuse_no_object(place.fd, place.name, key)
    try:
        _rename(source, name, place, key)
    except FileNotFoundError as error:
        raise VanishedError(*error.args) from error


def _rename(source: int, name: str, place: Place, key: str) -> None:
    try:
        os.rename(name, place.name, src_dir_fd=source, dst_dir_fd=place.fd)
    except IsADirectoryError:
        # With no object in it, it is nothing (clause K3), but in the way.
        remove_directories(place.fd, [visited.path for visited in visit(place.fd, place.name)])
        try:
            os.rename(name, place.name, src_dir_fd=source, dst_dir_fd=place.fd)
        except IsADirectoryError as error:
            raise UnsupportedOperationError(key, "something is below it that is no object") from error

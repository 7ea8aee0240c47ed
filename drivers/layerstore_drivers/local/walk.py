"""From a directory to those below it, by descriptor: no symlink is followed, whatever it points to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from layerstore_drivers.local.beneath import DIRECTORY, enter, open_beneath
from layerstore_drivers.local.locks import closing_fd


class Visited(NamedTuple):
    """A directory on the way."""

    path: str
    """From where the way began."""

    fd: int
    """Open until the next one is asked for."""

    files: list[str]
    """The names of the regular files in it."""


def visit(parent: int, name: str, wanted: Callable[[str], bool] = bool) -> Iterator[Visited]:
    """Yield a directory and those wanted below it, each before those below.

    One is open at a time, however deep: 500 levels fit into a key. What vanishes meanwhile is left out.
    """
    pending = [name]
    while pending:
        path = pending.pop()
        try:
            directory = open_beneath(parent, path, DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with closing_fd(directory):
            with os.scandir(directory) as found:
                entries = list(found)
            yield Visited(path, directory, [entry.name for entry in entries if entry.is_file(follow_symlinks=False)])
            below = [f"{path}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
            pending += filter(wanted, below)


def remove_directories(parent: int, paths: Iterable[str]) -> None:
    """Remove directories that :func:`visit` yielded, as far as they are empty by now."""
    for path in sorted(paths, reverse=True):
        above, _, name = path.rpartition("/")
        try:
            directory = open_beneath(parent, above, DIRECTORY) if above else os.dup(parent)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with closing_fd(directory):
            _remove_or_sync(directory, name)


def _remove_or_sync(parent: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError:
        # Not empty: what has been removed from it is to stay so.
        with closing_fd(enter(parent, name)) as directory:
            os.fsync(directory)

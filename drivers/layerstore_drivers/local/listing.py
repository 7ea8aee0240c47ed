"""Lists the keys below a prefix, in order (clauses L1 to L6), and visits directories that are to be removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from layerstore.driver import Foreign
from layerstore.keys import is_harmless, is_key
from layerstore.layout import link_above
from layerstore_drivers.local.system import DIRECTORY, closing_fd, enter, open_beneath

AREA = ".layerstore"
"""The private area, at the top of the store: the one hidden name that is the driver's own."""

SYMLINK, SPECIAL, REPLACED = "a symlink", "a special file", "replaced while it was looked at"
"""Kinds of :class:`Foreign` things, beside names that are no keys."""


def children(directory: int, prefix: str) -> Iterator[str]:
    """Yield the keys and prefixes directly below the prefix that ``directory`` is."""
    return (child for child in scanned(directory, prefix) if isinstance(child, str))


def scanned(directory: int, prefix: str) -> Iterator[str | Foreign]:
    """Yield the keys, the prefixes, and foreign things. Of a directory without an object, yield the first one below."""
    above = f"{prefix}/" if prefix else ""
    for child in sorted(_entries(directory, above), key=_name):
        if isinstance(child, Foreign) or not child.endswith("/"):
            yield child
        elif (found := _first(directory, child[len(above) : -1], child)) is not None:
            yield found


def holds_object(parent: int, name: str, path: str) -> bool:
    """Return whether an object lies in or below a directory; the first one found decides."""
    return isinstance(_first(parent, name, f"{path}/"), str)


def in_the_way(root: int, prefix: str) -> Foreign | None:
    """Return the symlink or special file in the place of a prefix, or of a segment above it; None if it is a file."""
    segments = prefix.split("/")
    for count in range(1, len(segments) + 1):
        path = "/".join(segments[:count])
        try:
            mode = os.stat(path, dir_fd=root, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISREG(mode):
            return None
        if not stat.S_ISDIR(mode):
            return Foreign(path, SYMLINK if stat.S_ISLNK(mode) else SPECIAL)
    return Foreign(prefix, REPLACED)


def _first(parent: int, name: str, prefix: str) -> str | Foreign | None:
    """Return the prefix of a directory if an object lies below it, else a foreign thing below; None if it is empty.

    The first object found decides. One directory is open at a time, however deep: 500 levels fit into a key.
    """
    foreign: Foreign | None = None
    pending = [prefix]
    while pending:
        below = pending.pop()
        with closing(_inside(parent, name + below[len(prefix) - 1 : -1], below)) as found:
            for child in found:
                if isinstance(child, Foreign):
                    foreign = foreign or (None if is_harmless(child.name) else child)
                elif child.endswith("/"):
                    pending.append(child)
                else:
                    return prefix
    return foreign


def _inside(parent: int, path: str, prefix: str) -> Generator[str | Foreign]:
    """Yield the entries of a directory that was there a moment ago, or what has taken its place."""
    try:
        directory = open_beneath(parent, path, DIRECTORY)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        yield Foreign(prefix[:-1], REPLACED)
        return
    except PermissionError:
        if is_harmless(prefix):  # lost+found is root's
            return
        raise
    with closing_fd(directory):
        yield from _entries(directory, prefix)
    if link_above(prefix):
        yield Foreign(prefix, "a directory in the place of a link")


def _entries(directory: int, above: str) -> Iterator[str | Foreign]:
    """Yield the entries of a directory in no order: keys, prefixes, which end in a slash, and foreign things."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if above or entry.name != AREA:
                yield _child(entry, above + entry.name)


def _child(entry: os.DirEntry[str], text: str) -> str | Foreign:
    if entry.is_dir(follow_symlinks=False):
        return f"{text}/" if is_key(text) else Foreign(f"{_printable(text)}/", "a directory whose name is no key")
    if entry.is_file(follow_symlinks=False):
        return text if is_key(text) else Foreign(_printable(text), "a file whose name is no key")
    return Foreign(_printable(text), SYMLINK if entry.is_symlink() else SPECIAL)


def _printable(text: str) -> str:
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _name(child: str | Foreign) -> str:
    return child if isinstance(child, str) else child.name


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

    One is open at a time, however deep: 500 levels fit into a key. A directory that vanishes meanwhile is left out.
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
        # It is not empty. The removals from it must be durable.
        with closing_fd(enter(parent, name)) as directory:
            os.fsync(directory)

"""An object as others see it: the file under its key, up to where its writer has flushed."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime, timedelta

from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.locks import closing_fd
from layerstore_drivers.local.record import State
from layerstore_drivers.local.tree import Tree

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Not found, a file or a symlink on the way; a symlink, a directory, a socket or a driverless device under the key.
_NO_OBJECT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}

_ATTEMPTS = 1000
"""How often a file may change while it is looked at: more often than any writer can flush meanwhile."""


class Published:
    """One version of one object, and the descriptor of its file: the holder's to close."""

    def __init__(self, fd: int, inode: int, size: int, mtime_ns: int) -> None:
        self.fd = fd
        self.inode = inode
        self.size = size
        self.mtime_ns = mtime_ns

    @property
    def version(self) -> str:
        """Its version: two of one key differ in the file, or else in the time, which every flush moves on."""
        return f"{self.inode:x}-{self.size:x}-{self.mtime_ns:x}"

    @property
    def modified(self) -> datetime:
        """When it was flushed, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self.mtime_ns // 1000)


def open_published(tree: Tree, area: Area, key: str, access: int = os.O_RDONLY) -> Published:
    """Open what is published under a key.

    A record says where the object ends, so file and record must be of one moment: looked at again until they are.

    Raises:
        PathNotFoundError: there is none; a directory, a symlink or a special file is none.
    """
    for _ in range(_ATTEMPTS):
        state = area.read_state(key)
        fd, status = open_object(tree, key, access)
        try:
            found = _as_published(fd, status, state)
            if area.read_state(key) == state and _as_published(fd, os.fstat(fd), state).version == found.version:
                return found
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise BackendUnavailableError(key, "another program keeps changing it")


def current_version(tree: Tree, area: Area, key: str) -> str | None:
    """Return the version of what is published under a key; None if there is nothing."""
    try:
        found = open_published(tree, area, key)
    except PathNotFoundError:
        return None
    with closing_fd(found.fd):
        return found.version


def open_object(tree: Tree, key: str, access: int) -> tuple[int, os.stat_result]:
    """Open the regular file under a key, and tell what it is.

    Raises:
        PathNotFoundError: there is none.
    """
    try:
        fd = tree.open(key, access | os.O_NONBLOCK, key)
    except OSError as error:
        if error.errno in _NO_OBJECT:
            raise PathNotFoundError(key) from error
        raise
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    raise PathNotFoundError(key)


def _as_published(fd: int, status: os.stat_result, state: State | None) -> Published:
    if state and binds(state, status):
        return Published(fd, state.inode, state.size, state.mtime_ns)
    return Published(fd, status.st_ino, status.st_size, status.st_mtime_ns)


def binds(state: State, status: os.stat_result) -> bool:
    """Tell whether a record speaks of a file: another program may have replaced or changed it."""
    if state.inode != status.st_ino:
        return False
    if state.growing:
        return state.size <= status.st_size
    return (state.size, state.mtime_ns) == (status.st_size, status.st_mtime_ns)

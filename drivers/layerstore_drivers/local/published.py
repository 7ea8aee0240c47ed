"""An object as others see it: the file under its key, up to where its writer has flushed."""

from __future__ import annotations

import errno
import os
import stat
from datetime import datetime

from layerstore.driver import moment
from layerstore.errors import AccessDeniedError, BackendUnavailableError, PathNotFoundError
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.locks import closing_fd
from layerstore_drivers.local.record import Identity, Seen, State
from layerstore_drivers.local.tree import Tree

# A file or a symlink on the way; a symlink, a directory, a socket or a driverless device under the key.
_IN_THE_WAY = {errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}

_ATTEMPTS = 1000
"""How often a file may change while it is looked at: more often than any writer can flush meanwhile."""


class Published:
    """One version of one object, and the descriptor of its file: the holder's to close."""

    def __init__(self, fd: int, found: Identity, seen: Seen) -> None:
        self.fd = fd
        self.found = found
        self.seen = seen

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self.seen.size

    @property
    def version(self) -> str:
        """Its version: that of the file as it was published, in which no two of one key are the same."""
        return str(self.seen.version)

    @property
    def modified(self) -> datetime:
        """When it was flushed, to the microsecond."""
        return moment(self.seen.mtime_ns)


def open_published(tree: Tree, area: Area, key: str, access: int = os.O_RDONLY) -> Published:
    """Open what is published under a key.

    A record says where the object ends, so file and record must be of one moment: looked at again until they are.

    Raises:
        PathNotFoundError: there is none; a directory is none.
        AccessDeniedError: a symlink or special file is in the way.
    """
    for _ in range(_ATTEMPTS):
        state = area.read_state(key)
        fd, status = open_object(tree, key, access)
        try:
            before = see(state, Identity.of(status))
            state = area.read_state(key)
            found = Identity.of(os.fstat(fd))
            seen = see(state, found)
        except BaseException:
            os.close(fd)
            raise
        if before == seen:
            return Published(fd, found, seen)
        os.close(fd)
    raise BackendUnavailableError(key, "another program keeps changing it")


def current_version(tree: Tree, area: Area, key: str) -> str | None:
    """Return the version of what is published under a key; None if there is nothing."""
    try:
        found = open_published(tree, area, key)
    except (PathNotFoundError, AccessDeniedError):  # another program may have put a symlink there
        return None
    with closing_fd(found.fd):
        return found.version


def open_object(tree: Tree, key: str, access: int) -> tuple[int, os.stat_result]:
    """Open the regular file under a key, and tell what it is.

    Raises:
        PathNotFoundError: there is none.
        AccessDeniedError: a symlink or special file is in the way.
    """
    try:
        fd = tree.open(key, access | os.O_NONBLOCK, key)
    except FileNotFoundError as error:
        raise PathNotFoundError(key) from error
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        tree.refuse_foreign(key)
        raise PathNotFoundError(key) from error
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    tree.refuse_foreign(key)
    raise PathNotFoundError(key)


def see(state: State | None, found: Identity) -> Seen:
    """Return what others see of a file, given the state in its key's record, if it has one."""
    return state.sees(found) if state else Seen(found.size, found.mtime_ns, found)

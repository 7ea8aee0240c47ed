"""An object as others see it, up to where its writer has flushed, and reading it (clauses R1 to R6)."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from datetime import datetime

from layerstore.driver import Reader, moment
from layerstore.errors import AccessDeniedError, BackendUnavailableError, InvalidOffsetError, PathNotFoundError
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.record import Identity, Seen, State
from layerstore_drivers.local.system import closing_fd, status_of
from layerstore_drivers.local.tree import Tree

# A file or a symlink on the way; a symlink, a directory, a socket or a driverless device under the key.
_IN_THE_WAY = {errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV}

_ATTEMPTS = 1000
"""How often a file may change while it is looked at. No writer can flush so often meanwhile."""


class Published:
    """One version of one object, and the descriptor of its file, which the holder must close."""

    def __init__(self, fd: int, found: Identity, seen: Seen) -> None:
        self.fd = fd
        self.found = found
        self.seen = seen

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.seen.size

    @property
    def version(self) -> str:
        """Its version: the identity of the file as it was published. No two versions of a key are the same."""
        return str(self.seen.version)

    @property
    def modified(self) -> datetime:
        """When it was flushed, to the microsecond."""
        return moment(self.seen.mtime_ns)


def open_published(tree: Tree, area: Area, key: str, access: int = os.O_RDONLY) -> Published:
    """Open what is published under a key.

    A record says where the object ends, so file and record must be of one moment. Both are read again until they are.

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
    """Open the regular file under a key. Return its descriptor and status.

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
    status = status_of(fd)
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    tree.refuse_foreign(key)
    raise PathNotFoundError(key)


def see(state: State | None, found: Identity) -> Seen:
    """Return the view that others have of a file, given the state in the key's record, if there is one."""
    return state.sees(found) if state else Seen(found.size, found.mtime_ns, found)


LARGE = 256 << 10
"""A read of so many bytes or more has the system read ahead, as its caller is likely to read on."""

AHEAD = 8 << 20
"""Bytes that the system reads ahead then; by itself it reads 128 KiB ahead."""


class LocalReader(Reader):
    """An open file up to where it was flushed: bytes below that are never changed, only replaced by another file."""

    def __init__(self, key: str, source: Published, offset: int) -> None:
        """Take over the descriptor of ``source``.

        Raises:
            InvalidOffsetError: the offset is beyond the end; the descriptor is closed.
        """
        super().__init__(key, source.size, source.version, offset)
        self._fd = source.fd
        if offset > source.size:
            self.close()
            raise InvalidOffsetError(key, f"offset {offset} of {source.size}")
        self._asked = offset

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill the buffer, or what one system call fills of it."""
        count = os.preadv(self._fd, [buffer], offset)
        if count >= LARGE:
            self._read_ahead(offset + count)
        return count

    def fileno(self) -> int:
        """Return the file's descriptor."""
        self._check_open()
        return self._fd

    def _read_ahead(self, offset: int) -> None:
        """Let the system fetch the next bytes while the caller hashes or sends the last ones."""
        coming = self._asked - offset
        if AHEAD // 2 <= coming <= AHEAD or not hasattr(os, "posix_fadvise"):
            return
        start = self._asked if 0 <= coming < AHEAD else offset
        self._asked = offset + AHEAD
        os.posix_fadvise(self._fd, start, self._asked - start, os.POSIX_FADV_WILLNEED)

    def release(self) -> None:
        """Close the file."""
        os.close(self._fd)


_ASKED = 10
"""How often the system is asked: it is free to keep a page."""


def drop_cache(fd: int) -> bool:
    """Let the system drop a file's pages. Return whether it did: it keeps the pages of a tmpfs.

    It also keeps pages that are being written and, for a moment, pages that another processor has just brought in.
    """
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    return any(_dropped(fd) for _ in range(_ASKED))


def _dropped(fd: int) -> bool:
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    with suppress(OSError):  # a file system that cannot tell
        try:
            # Of its end: the system may begin to fetch what is asked for, and a reader begins at the start.
            os.preadv(fd, [bytearray(1)], max(0, os.fstat(fd).st_size - 1), os.RWF_NOWAIT)
        except BlockingIOError:  # it would have to wait for the disk
            return True
    return False

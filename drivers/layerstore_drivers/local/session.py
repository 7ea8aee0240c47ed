"""Who is alive: a file per driver instance, locked for as long as the instance or a handle of it lives."""

from __future__ import annotations

import itertools
import os
import stat
import uuid
from contextlib import suppress
from weakref import finalize

from layerstore.process import this_process
from layerstore_drivers.local.filesystem import refuse_coarse_times
from layerstore_drivers.local.locks import closing_fd, is_locked, try_lock

_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Session:
    """The life of a driver instance and its handles; its name is on every file they leave in the private area."""

    def __init__(self, directory: int) -> None:
        """Begin in the directory of sessions, and take over its descriptor."""
        try:
            self.name, fd = _locked_file(directory)
        except BaseException:
            os.close(directory)
            raise
        self._files = itertools.count()
        finalize(self, _end, self.name, fd, directory, this_process())

    def name_file(self) -> str:
        """Return a name that no other file has: a session's is like no other's, and its process alone counts."""
        return f"{self.name}.{next(self._files):x}"


def is_alive(directory: int, name: str) -> bool:
    """Tell whether a session goes on."""
    try:
        fd = os.open(name, _OLD, dir_fd=directory)
    except FileNotFoundError:
        return False
    with closing_fd(fd):
        return is_locked(fd)


def bury(directory: int, name: str) -> None:
    """Remove what a session that is over has left of itself; one that goes on, or begins just now, is left alone."""
    with suppress(FileNotFoundError), closing_fd(os.open(name, _OLD, dir_fd=directory)) as fd:
        if stat.S_ISREG(os.fstat(fd).st_mode) and try_lock(fd):
            os.unlink(name, dir_fd=directory)


def _locked_file(directory: int) -> tuple[str, int]:
    while True:
        name = uuid.uuid4().hex
        fd = os.open(name, _NEW, 0o666, dir_fd=directory)
        try:
            refuse_coarse_times(fd)
            # Before it was locked, another driver may have taken the file for one left over, and be about to bury it.
            if try_lock(fd) and os.fstat(fd).st_nlink:
                return name, fd
        except BaseException:
            os.close(fd)
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise
        os.close(fd)


def _end(name: str, fd: int, directory: int, pid: int) -> None:
    # A forked child ends its copy only: the lock is its parent's.
    if pid == this_process():
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
    os.close(fd)
    os.close(directory)

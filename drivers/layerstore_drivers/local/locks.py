"""Short critical sections: locks between threads and processes, and work that must wait until none is held.

A signal's exception may come between any two steps, also between the taking of a lock and the next line. So a lock
belongs to a file that is opened for one section alone, before the lock is taken::

    with area.lock(key) as lock, lock.held():
        ...

Whatever happens in the inner block, the outer one closes the file, and a lock ends with its file. That closing is done
in C: no signal is looked at before it. No one waits for another's lock for longer than :data:`DEADLINE`.
"""

from __future__ import annotations

import fcntl
import io
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from layerstore.errors import BackendUnavailableError
from layerstore_drivers.local.filesystem import refuse_no_locks
from layerstore_drivers.local.holder import holder

DEADLINE = 60.0
"""Seconds that a lock is waited for. Who holds one does a few system calls, some of which may wait for a disk."""

_FIRST, _LONGEST = 0.0001, 0.02
"""Seconds between two attempts: each pause is twice as long as the one before, up to the longest."""


class _Held(threading.local):
    """What this thread holds now, in any driver, and what is to be done once that is nothing."""

    def __init__(self) -> None:
        self.files: list[LockFile] = []
        self.deferred: list[Callable[[], None]] = []

    @property
    def any(self) -> bool:
        """Whether it holds a lock. One whose section was interrupted may be among the files still, but is closed."""
        return any(not file.closed for file in self.files)


_held = _Held()
_open: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _close_copies() -> None:
    """Close, in a forked child, what threads of its parent have open: the child would go on holding their locks."""
    for file in list(_open):
        file.close()


os.register_at_fork(after_in_child=_close_copies)


class LockFile(io.FileIO):
    """A file that is open for one critical section, and closed, by ``with``, at its end."""

    def __init__(self, fd: int, path: str) -> None:
        """Take over a descriptor of the file at a path, which is for messages."""
        super().__init__(fd, "r+")
        self.path = path
        _open.add(self)

    def held(self, patience: float | None = None) -> _Section:
        """Return the section in which this thread alone holds the file's lock.

        Raises:
            BackendUnavailableError: on entering, if another process or thread has not given it up for so many seconds.
        """
        return _Section(self, DEADLINE if patience is None else patience)


class _Section:
    """The time in which a lock is held; that of the file is as long, or longer."""

    def __init__(self, file: LockFile, patience: float) -> None:
        self._file = file
        self._patience = patience

    def __enter__(self) -> None:
        if any(file.path == self._file.path and not file.closed for file in _held.files):
            detail = "a signal handler has called the store in the middle of another call of this thread"
            raise BackendUnavailableError("", f"{self._file.path} is locked: {detail}")
        # Noted before it is held: from here on, a collection in this thread must not wait for any other lock.
        _held.files.append(self._file)
        _wait_for(self._file, self._patience)

    def __exit__(self, *_: object) -> None:
        # Not by closing alone: a program started meanwhile has the description too, until it is loaded.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        _held.files = [file for file in _held.files if file is not self._file and not file.closed]
        _run_deferred()


def _wait_for(file: LockFile, patience: float) -> None:
    if try_lock(file):
        return
    until, pause = time.monotonic() + patience, _FIRST
    while not try_lock(file):
        if time.monotonic() >= until:
            detail = f"{file.path} has been locked for {patience:g} s by {holder(file.fileno())}"
            raise BackendUnavailableError("", f"{detail}; let that go on, or end it")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def try_lock(file: io.FileIO | int) -> bool:
    """Lock a file against other descriptions of it, in this process too; tell whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        refuse_no_locks(error, file)
        raise
    return True


def is_locked(fd: int) -> bool:
    """Tell whether another description of an open file holds its lock."""
    if not try_lock(fd):
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def when_free(action: Callable[[], None]) -> None:
    """Run now what takes locks, or, if this thread is inside one, after it. It may be run twice, if interrupted.

    A writer may be collected anywhere, also between two lines of a critical section. Waiting there for a lock, which
    the same thread may hold, would be waiting for ever.
    """
    _held.deferred.append(action)
    _run_deferred()


def _run_deferred() -> None:
    while _held.deferred and not _held.any:
        action = _held.deferred.pop()
        try:
            action()
        except BaseException:
            _held.deferred.insert(0, action)
            raise


@contextmanager
def closing_fd(fd: int) -> Iterator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)

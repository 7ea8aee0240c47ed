"""Critical sections and sessions: locks between threads and processes, and which processes are alive.

A signal's exception may come between any two steps, also between the taking of a lock and the next line. So a lock
belongs to a file that is opened for one section alone, before the lock is taken::

    with area.lock(key) as lock, lock.held():
        ...

The outer block closes the file, however the inner one ends, and a lock ends with its file. The file is closed in C,
where no signal's handler can run first. Nobody waits for a lock for longer than :data:`DEADLINE`.
"""

from __future__ import annotations

import io
import itertools
import os
import stat
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from layerstore.errors import BackendUnavailableError, DriverError
from layerstore_drivers.local.system import closing_fd, holder_of, is_locked, refuse_coarse_times, try_lock, unlock

DEADLINE = 60.0
"""Seconds that a caller waits for a lock. Its holder makes a few system calls, some of which may wait for a disk."""

_FIRST, _LONGEST = 0.0001, 0.02
"""Seconds between two attempts: each pause is twice as long as the one before, up to the longest."""


class _Held(threading.local):
    """The locks that this thread holds, in any driver, and the work that waits until it holds none."""

    def __init__(self) -> None:
        self.files: list[LockFile] = []
        self.deferred: list[Callable[[], None]] = []
        self.postponing = False

    @property
    def any(self) -> bool:
        """Whether it holds a lock. The file of an interrupted section may still be listed, but is closed."""
        return any(not file.closed for file in self.files)


_held = _Held()
_open: weakref.WeakSet[LockFile] = weakref.WeakSet()
_postponed: deque[Callable[[], None]] = deque()
"""Work on keys that others have locked: whoever gives up a lock in this process tries again."""


class LockedError(BackendUnavailableError):
    """Somebody has not given up a lock in time."""


def _close_copies() -> None:
    """Close the lock files of the parent in a forked child, which would go on holding the locks."""
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
            LockedError: on entering, if another process or thread has not given it up for so many seconds.
        """
        return _Section(self, DEADLINE if patience is None else patience)


class _Section:
    """The time in which a lock is held. Its file is open for as long, or longer."""

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
        unlock(self._file)
        _held.files = [file for file in _held.files if file is not self._file and not file.closed]
        _run_deferred()
        if _postponed:
            _run_postponed()


def _wait_for(file: LockFile, patience: float) -> None:
    if try_lock(file):
        return
    until, pause = time.monotonic() + patience, _FIRST
    while not try_lock(file):
        if time.monotonic() >= until:
            detail = f"{file.path} has been locked for {patience:g} s by {holder_of(file.fileno())}"
            raise LockedError("", f"{detail}; let that go on, or end it")
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def when_free(action: Callable[[], None]) -> None:
    """Run an action that takes locks: now, or when this thread holds none. An interrupted action may run twice.

    A writer may be collected anywhere, also between two lines of a critical section. Waiting there for a lock, which
    the same thread may hold, would be waiting for ever.
    """
    _held.deferred.append(action)
    _run_deferred()


def _run_deferred() -> None:
    while _held.deferred and not _held.any:
        try:
            action = _held.deferred.pop()
        except IndexError:  # the handler of a signal, which came just then, has run it
            return
        try:
            action()
        except BaseException:
            _held.deferred.insert(0, action)
            raise


def without_waiting(action: Callable[[], None]) -> None:
    """Run an action that takes a lock: now or, if it raises :exc:`LockedError`, when this process gives up a lock.

    Other errors are suppressed, and if the process ends first, it is never run: a sweep must make up for it.
    """
    _postponed.append(action)
    _run_postponed()
    _run_postponed()  # its lock may have been given up before it was postponed


def _run_postponed() -> None:
    if _held.postponing or _held.any:
        return
    _held.postponing = True
    try:
        for _ in range(len(_postponed)):
            with suppress(IndexError, OSError, DriverError):  # another thread may have been faster
                _try_again(_postponed.popleft())
    finally:
        _held.postponing = False


def _try_again(action: Callable[[], None]) -> None:
    try:
        action()
    except LockedError:
        _postponed.append(action)


_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Session:
    """The life of a driver instance and its handles: a file that is locked for as long. Its name is on their files."""

    def __init__(self, directory: int) -> None:
        """Begin in the directory of sessions, and take over its descriptor."""
        try:
            self.name, fd = _locked_file(directory)
        except BaseException:
            os.close(directory)
            raise
        self._files = itertools.count()
        # Not at exit: what was registered there earlier runs later, and may use the driver. The file is swept later.
        weakref.finalize(self, _end, self.name, fd, directory, os.getpid()).atexit = False

    def name_file(self) -> str:
        """Return the name of a new file, by which nobody has named another: sessions have unique names, and count."""
        return f"{self.name}.{next(self._files):x}"


def is_alive(directory: int, name: str) -> bool:
    """Return whether a session is alive."""
    try:
        fd = os.open(name, _OLD, dir_fd=directory)
    except FileNotFoundError:
        return False
    with closing_fd(fd):
        return is_locked(fd)


def bury(directory: int, name: str) -> None:
    """Remove the file of a session that is over. A session that is alive, or is just beginning, keeps its file."""
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
    if pid == os.getpid():
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
    os.close(fd)
    os.close(directory)

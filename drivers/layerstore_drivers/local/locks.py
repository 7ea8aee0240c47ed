"""Short critical sections: locks between threads and processes, and work that must wait until none is held."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Held(threading.local):
    """What this thread holds now, in any driver: how many locks, and what is to be done once there is none."""

    def __init__(self) -> None:
        self.count = 0
        self.deferred: list[Callable[[], None]] = []


_held = _Held()


class Lock:
    """An exclusive lock on an open file: against other descriptions of it, in this process too."""

    def __init__(self, fd: int) -> None:
        """Lock by a descriptor, which stays the caller's to close."""
        self.fd = fd

    def __enter__(self) -> None:
        # Counted before it is held: from here on, a collection in this thread must not wait for any other lock.
        _held.count += 1
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX)
        except BaseException:
            _held.count -= 1
            raise

    def __exit__(self, *_: object) -> None:
        # Not by closing: a child forked meanwhile has the description too, and would go on holding the lock.
        try:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
        finally:
            _held.count -= 1
            _run_deferred()


def is_locked(fd: int) -> bool:
    """Tell whether another description of an open file holds its lock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def when_free(action: Callable[[], None]) -> None:
    """Run now what takes locks, or, if this thread is inside one, after it.

    A writer may be collected anywhere, also between two lines of a critical section. Waiting there for a lock, which
    the same thread may hold, would be waiting for ever.
    """
    _held.deferred.append(action)
    _run_deferred()


def _run_deferred() -> None:
    while _held.deferred and not _held.count:
        _held.deferred.pop()()


@contextmanager
def closing_fd(fd: int) -> Iterator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)

"""Let one call of the system fail in the middle of a driver's call, as a disk or a full table of files does."""

from __future__ import annotations

import ctypes
import errno
import io
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from layerstore_conformance.kit.places import Places, profiled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    from layerstore.checked import CheckedDriver

_SYSTEM: Final = {
    "posix": {
        *("open", "stat", "lstat", "fstat", "statvfs", "fstatvfs", "listdir", "scandir", "mkdir", "rmdir", "unlink"),
        *("remove", "rename", "replace", "link", "symlink", "readlink", "read", "readv", "pread", "preadv", "write"),
        *("writev", "pwrite", "pwritev", "ftruncate", "truncate", "fsync", "fdatasync", "utime", "chmod", "fchmod"),
        *("dup", "dup2", "lseek", "posix_fallocate", "copy_file_range", "sendfile", "getxattr", "setxattr", "pipe"),
    },
    "fcntl": {"flock", "lockf", "fcntl", "ioctl"},
    "io": {"open", "open_code"},
}
"""Functions in C that may fail, by their modules. ``close`` is none: after an error the descriptor is closed, too."""

_OF_FILES: Final = {"read", "readinto", "readall", "write", "flush", "seek", "truncate"}
"""Methods of a file that may fail."""

_CHANGES: Final = {
    *("mkdir", "rmdir", "unlink", "remove", "rename", "replace", "link", "symlink", "write", "writev", "pwrite"),
    *("pwritev", "ftruncate", "truncate", "fsync", "fdatasync", "utime", "copy_file_range", "sendfile", "setxattr"),
}
"""Those that change a file or directory, or make it durable."""

_SYNCS: Final = {"fsync", "fdatasync"}

_CFunction: Final = ctypes._CFuncPtr  # type: ignore[attr-defined]  # noqa: SLF001  (the one class that all have above)


class Failure:
    """Fails one call that a driver's own code makes of the system, in this thread. The calls are counted from 1.

    ::

        with Failure(driver, 7, errno.EIO).lurking(), suppress(BackendUnavailableError):
            driver.put("key", b"data")

    The call is not made; it raises an ``OSError``. A function of Python that has one of a C library at hand, by
    :mod:`ctypes`, counts as a call, too.
    """

    def __init__(self, driver: CheckedDriver, place: int = 0, number: int = errno.EIO) -> None:
        """Fail the ``place``-th call of ``driver`` with an error number; 0 only counts."""
        self.places = 0
        self.failed = ""
        """The call that failed, and where it was made."""
        self._place, self._number = place, number
        self._in_driver = Places(driver)

    def lurking(self) -> AbstractContextManager[None]:
        """Let it fail in the block."""
        return profiled(self._ran)

    def _ran(self, frame: FrameType, event: str, called: object) -> None:
        if not (_is_system(frame, event, called) and self._in_driver.own(frame)):
            return
        self.places += 1
        if self.places == self._place:
            name = getattr(called, "__name__", frame.f_code.co_name)
            self.failed = f"{name} in line {frame.f_lineno} of {frame.f_code.co_filename}"
            raise OSError(self._number, os.strerror(self._number))


class Writes:
    """Notices that this thread has written something, whatever function or library did it. Linux only."""

    def __init__(self) -> None:
        self._counter = -1
        self._seen = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count in the block, if the system tells."""
        with ExitStack() as end:
            with suppress(OSError):
                self._counter = os.open("/proc/thread-self/io", os.O_RDONLY)
                end.callback(self._end)
                self.are_more()
            yield

    def are_more(self) -> bool:
        """Return whether there was a call that writes since this was last asked."""
        if self._counter < 0:
            return False
        seen, self._seen = self._seen, int(os.pread(self._counter, 1000, 0).partition(b"syscw:")[2].split()[0])
        return self._seen > seen

    def _end(self) -> None:
        os.close(self._counter)
        self._counter = -1


def changes(called: object) -> bool:
    """Return whether a function changes or syncs files."""
    name, of = getattr(called, "__name__", ""), getattr(called, "__self__", None)
    return name in _CHANGES and (getattr(called, "__module__", "") == "posix" or isinstance(of, io.FileIO))


def begins_change(frame: FrameType, event: str, called: object) -> bool:
    """Return whether an event is the call of a function that changes or syncs files."""
    del frame
    return event == "c_call" and changes(called)


def begins_sync(frame: FrameType, event: str, called: object) -> bool:
    """Return whether an event is the call of a function that syncs a file or directory."""
    return begins_change(frame, event, called) and getattr(called, "__name__", "") in _SYNCS


def _is_system(frame: FrameType, event: str, called: object) -> bool:
    if event == "call":
        return any(isinstance(each, _CFunction) for each in frame.f_locals.values())
    if event != "c_call":
        return False
    name, of = getattr(called, "__name__", ""), getattr(called, "__self__", None)
    if isinstance(of, io.IOBase):
        return name in _OF_FILES and not isinstance(of, io.BytesIO | io.StringIO)
    module = (getattr(called, "__module__", None) or "").removeprefix("_")
    return name in _SYSTEM.get("posix" if module == "nt" else module, ())

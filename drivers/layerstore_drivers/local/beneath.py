"""Opening what lies below a directory: no symlink is followed, whatever it points to, on the way or at the end.

Linux does so in one call, ``openat2`` (5.6 or newer; not where a sandbox forbids it). Elsewhere it is a step for every
segment of the path, each from the descriptor of the one before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable
from functools import cache

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

_OPENAT2 = 437
"""The number of the system call on the architectures below (include/uapi/asm-generic/unistd.h)."""

_MACHINES = {"x86_64", "i686", "aarch64", "armv7l", "ppc64", "ppc64le", "s390x", "riscv64", "loongarch64"}

_NO_SYMLINKS = 0x04
_BENEATH = 0x08
"""``RESOLVE_NO_SYMLINKS`` and ``RESOLVE_BENEATH`` (openat2(2))."""

_CACHED = 0x20
"""``RESOLVE_CACHED``, of Linux 5.12: fail with ``EAGAIN`` rather than wait for a disk."""

_NOT_AT_ONCE = (errno.EAGAIN, errno.EINVAL)
"""Not in memory; and what an older system says, which does not know the flag."""

PERHAPS = 1 << 40
"""No flag of the system: what is opened is likely to be missing, which the kernel's memory alone cannot say."""

_ATTEMPTS = 100
"""How often a call may be interrupted, or meet a rename on its way, before the steps are taken one by one."""

OpenAt2 = Callable[[int, str, int], int]
"""Opens a path below a descriptor with flags, or raises an ``OSError``."""


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(directory: int, path: str, flags: int) -> int:
    """Open an existing file or directory, one or more segments below an open directory.

    Raises:
        FileNotFoundError: a segment is missing.
        NotADirectoryError: a segment on the way is a file or a symlink, or the last one is where flags say
            ``O_DIRECTORY``.
        OSError: ``ELOOP``, the last one is a symlink; so may be one on the way.
    """
    openat2 = _openat2()
    if openat2 is None:
        return _by_steps(directory, path, flags | os.O_NOFOLLOW)
    for _ in range(_ATTEMPTS):
        try:
            return openat2(directory, path, flags | os.O_NOFOLLOW)
        except (InterruptedError, BlockingIOError):
            continue  # the interpreter has run the signal's handler by now
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                break  # perhaps of the whole, which may be longer than a key, below a prefix that is deleted
            if error.errno == errno.ELOOP and flags & os.O_DIRECTORY:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
            raise
    return _by_steps(directory, path, flags | os.O_NOFOLLOW)


def enter(parent: int, name: str) -> int:
    """Open a directory in another; raise NotADirectoryError for a symlink as for any file."""
    return os.open(name, DIRECTORY, dir_fd=parent)


def _by_steps(directory: int, path: str, flags: int) -> int:
    *above, name = path.split("/")
    fd, flags = directory, flags & ~PERHAPS
    try:
        for segment in above:
            parent, fd = fd, enter(fd, segment)
            if parent != directory:
                os.close(parent)  # once, whatever interrupts it: its number may be another thread's file by then
        return os.open(name, flags, dir_fd=fd)
    finally:
        if fd != directory:
            os.close(fd)


@cache
def _openat2() -> OpenAt2 | None:
    """Return the system call, which Python does not have; None where there is none, or it may not be used."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return None
    found = _bound()
    top = os.open("/", DIRECTORY)
    try:
        os.close(found(top, ".", DIRECTORY))
    except OSError:  # ENOSYS of an older system, EPERM of a sandbox
        return None
    finally:
        os.close(top)
    return found


def _bound() -> OpenAt2:
    """Return the system call: at first asked of what the kernel has in memory, which takes a microsecond or two.

    Only where it must wait for a disk are other threads let run. That they would have to be waited for after every one
    of these calls is what took most of the time, with eight threads.
    """
    at_once, waiting = (_declared(kind(None, use_errno=True)) for kind in (ctypes.PyDLL, ctypes.CDLL))
    size = ctypes.sizeof(_How)

    def openat2(directory: int, path: str, flags: int) -> int:
        name, fd = os.fsencode(path), -1
        if not flags & PERHAPS:
            fd = at_once(_OPENAT2, directory, name, _how(flags, _CACHED), size)
        if fd < 0 and (flags & PERHAPS or ctypes.get_errno() in _NOT_AT_ONCE):
            fd = waiting(_OPENAT2, directory, name, _how(flags & ~PERHAPS, 0), size)
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return fd

    return openat2


def _declared(library: ctypes.CDLL) -> Callable[..., int]:
    syscall = library.syscall
    syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)
    syscall.restype = ctypes.c_long
    return syscall


@cache
def _how(flags: int, more: int) -> _How:
    """Return what the call is told besides the path; it only reads it, so that all threads may share one."""
    return _How(flags | os.O_CLOEXEC | getattr(os, "O_LARGEFILE", 0), 0, _NO_SYMLINKS | _BENEATH | more)

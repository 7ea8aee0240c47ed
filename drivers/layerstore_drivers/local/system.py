"""The operating system, as this driver uses it: opening by ``openat2``, ``flock``, syncs and copies.

Every call by :mod:`ctypes` and :mod:`fcntl` is in this file. The functions that open a path follow no symlink, neither
on the way nor at the end. Linux can do that in one call, ``openat2`` (5.6 or newer, unless a sandbox forbids it).
Elsewhere each segment of the path is opened by itself, from the descriptor of the segment before.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from layerstore.errors import BackendUnavailableError
from layerstore.threads.process import this_process

if TYPE_CHECKING:
    from io import FileIO


@contextmanager
def closing_fd(fd: int) -> Iterator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def status_of(fd: int) -> os.stat_result:
    """Return the status of a file that was just opened. If there is none, the file is closed."""
    try:
        return os.fstat(fd)
    except BaseException:
        os.close(fd)
        raise


def stamp(fd: int, mtime_ns: int) -> None:
    """Set a file's modification time, in nanoseconds; a file of another user's gets the time of now, if that is later.

    Only a file's owner may choose its time. The kernel's clock advances in steps: until it has come there, it waits.
    """
    try:
        os.utime(fd, ns=(mtime_ns, mtime_ns))
    except PermissionError:
        os.utime(fd)
        while os.fstat(fd).st_mtime_ns < mtime_ns <= time.time_ns():
            time.sleep(0.0005)
            os.utime(fd)


class HeldDirectory:
    """An open directory, closed when the last of its users has let go of it.

    While it is open, no other directory gets its number, so two equal identities mean the same directory.
    """

    def __init__(self, fd: int) -> None:
        """Take over a descriptor."""
        self.fd = fd
        # Not at exit: what was registered there earlier runs later, and may use the driver. The system closes it then.
        finalize(self, os.close, fd).atexit = False
        self._identity = _identity(os.fstat(fd))

    def is_at(self, status: os.stat_result) -> bool:
        """Return whether a path with this status leads here."""
        return self._identity == _identity(status)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class _Handle(ctypes.Structure):
    """``struct file_handle`` of name_to_handle_at(2), with room for ``MAX_HANDLE_SZ`` bytes."""

    _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("handle", ctypes.c_ubyte * 128))


Lasting = tuple[int, int, bytes]
"""The mount, and the handle's kind and bytes, in which a file system counts the uses of an inode number."""

_AT_EMPTY_PATH, _AT_HANDLE_FID = 0x1000, 0x200
"""The descriptor's own file; a handle that need not open it, which Linux 6.5 gives for any file system (fcntl.h)."""


def lasting_identity(fd: int) -> Lasting | None:
    """Return what no other file has, not even one that gets the number of this one after it was deleted.

    None: the file system, the system or a sandbox does not tell.
    """
    told = _name_to_handle_at()
    if told is None:
        return None
    handle, mount, before = _Handle(size=128), ctypes.c_int(), ctypes.get_errno()
    try:
        for flags in (_AT_EMPTY_PATH, _AT_EMPTY_PATH | _AT_HANDLE_FID):
            if not told(fd, b"", ctypes.byref(handle), ctypes.byref(mount), flags):
                return mount.value, handle.kind, bytes(handle.handle[: handle.size])
    finally:
        ctypes.set_errno(before)  # as for openat2, below
    return None


@cache
def _name_to_handle_at() -> Callable[..., int] | None:
    """Return the library's function. It holds on to the interpreter, as it waits for nothing: the file is open."""
    try:
        found = ctypes.PyDLL(None, use_errno=True).name_to_handle_at
    except AttributeError:  # not Linux
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    found.restype = ctypes.c_int
    return found


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
"""The path is not in memory; or the system is older and does not know the flag."""

PERHAPS = 1 << 40
"""Not a flag of the system. The file is likely to be missing, and a look into the kernel's memory cannot show that."""

_INTERRUPTIONS = 100
"""Times that a call may be interrupted, or meet a rename on its way, before the path is opened step by step."""

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
    for _ in range(_INTERRUPTIONS):
        try:
            return openat2(directory, path, flags | os.O_NOFOLLOW)
        except (InterruptedError, BlockingIOError):
            continue  # the signal's handler has run by now
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                break  # perhaps only the whole path is too long: below a deleted prefix it may be longer than a key
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
                os.close(parent)  # not twice, if interrupted: its number may be another thread's file by then
        return os.open(name, flags, dir_fd=fd)
    finally:
        if fd != directory:
            os.close(fd)


@cache
def _openat2() -> OpenAt2 | None:
    """Return the system call, which Python does not have; None if there is none, or it is forbidden."""
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
    """Return the system call, which at first looks only into the kernel's memory; that takes a microsecond or two.

    It lets other threads run only if it must wait for a disk. If it did so at each call, eight threads would spend most
    of their time in waiting for each other.
    """
    at_once, waiting = (_declared(kind(None, use_errno=True)) for kind in (ctypes.PyDLL, ctypes.CDLL))
    size = ctypes.sizeof(_How)

    def openat2(directory: int, path: str, flags: int) -> int:
        name, fd, before = os.fsencode(path), -1, ctypes.get_errno()
        try:
            if not flags & PERHAPS:
                fd = at_once(_OPENAT2, directory, name, _how(flags, _CACHED), size)
            if fd < 0 and (flags & PERHAPS or ctypes.get_errno() in _NOT_AT_ONCE):
                fd = waiting(_OPENAT2, directory, name, _how(flags & ~PERHAPS, 0), size)
            if fd < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            ctypes.set_errno(before)  # a signal's handler that came between a call and its number leaves that number
        return fd

    return openat2


def _declared(library: ctypes.CDLL) -> Callable[..., int]:
    syscall = library.syscall
    syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)
    syscall.restype = ctypes.c_long
    return syscall


@cache
def _how(flags: int, more: int) -> _How:
    """Return the argument of the call besides the path. The call only reads it, so all threads may share one."""
    return _How(flags | os.O_CLOEXEC | getattr(os, "O_LARGEFILE", 0), 0, _NO_SYMLINKS | _BENEATH | more)


FIT = "keep the store on ext4, xfs, btrfs, zfs or tmpfs of this machine (docs/local.md)"

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

_PROBE_NS = 1_000_000_001
"""A time with an odd number of nanoseconds, which no coarser file system can keep."""


def refuse_no_locks(error: OSError, file: FileIO | int) -> None:
    """Turn an error that means that a file system has no locks into one that says so.

    Raises:
        BackendUnavailableError: the error means that.
    """
    if error.errno in _NO_LOCKS:
        raise BackendUnavailableError("", f"{_path_of(file)} is on a file system without flock: {FIT}") from error


def sync_directory(fd: int) -> None:
    """Make the names in a directory durable.

    Raises:
        BackendUnavailableError: its file system cannot.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        detail = "whose directories cannot be synced, so that a loss of power could take what was stored"
        raise BackendUnavailableError("", f"{_path_of(fd)} is on a file system {detail}: {FIT}") from error


def refuse_coarse_times(fd: int) -> None:
    """Refuse a file system on which two versions of an object could have the same time. Sets the time of an open file.

    Raises:
        BackendUnavailableError: it does not keep times to the nanosecond.
    """
    os.utime(fd, ns=(_PROBE_NS, _PROBE_NS))
    if os.fstat(fd).st_mtime_ns != _PROBE_NS:
        detail = "that does not keep times in nanoseconds (ext4 with inodes of 128 bytes, FAT, some of a network)"
        raise BackendUnavailableError("", f"{_path_of(fd)} is on a file system {detail}: {FIT}")


def _path_of(file: FileIO | int) -> str:
    fd = file if isinstance(file, int) else file.fileno()
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "the store"


def try_lock(file: FileIO | int) -> bool:
    """Lock a file against its other descriptions, also in this process. Return whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        refuse_no_locks(error, file)
        raise
    return True


def is_locked(fd: int) -> bool:
    """Return whether another description of an open file holds its lock."""
    if not try_lock(fd):
        return True
    unlock(fd)
    return False


def unlock(file: FileIO | int) -> None:
    """Give up a file's lock."""
    fcntl.flock(file, fcntl.LOCK_UN)


def write_all(fd: int, data: bytes) -> None:
    """Write a whole new file."""
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], done)


_PROC_LOCKS = Path("/proc/locks")
"""``1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF``: process, device and inode (proc_locks(5))."""


def holder_of(fd: int) -> str:
    """Name the process that holds the lock of an open file."""
    inode = str(os.fstat(fd).st_ino)
    with suppress(OSError):
        for line in _PROC_LOCKS.read_text("ascii").splitlines():
            _, kind, *_, process, file, _, _ = line.split()
            if kind == "FLOCK" and file.rpartition(":")[2] == inode:
                return _describe_process(int(process))
    return "another process"


def _describe_process(process: int) -> str:
    if process == this_process():
        return f"process {process}, which is this one"
    with suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text("utf-8", "replace")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        stopped = ", which is stopped" if fields["State"][0] in "Tt" else ""
        return f"process {process} ({fields['Name']}){stopped}"
    return f"process {process}"


_WRITE = 2
"""``SYNC_FILE_RANGE_WRITE``: begin to write the dirty pages of the range, and wait for none (sync_file_range(2))."""


@cache
def _function() -> Callable[[int, int, int, int], int] | None:
    """Return the C library's ``sync_file_range``, which Python does not have; None if there is none."""
    try:
        found = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    found.restype = ctypes.c_int
    return found


def write_out(fd: int, start: int, size: int) -> None:
    """Begin to write a range of a file, in bytes. This promises nothing; a failure shows in the next sync."""
    function = _function()
    if function is not None:
        function(fd, start, size, _WRITE)


_FICLONE = 0x40049409
"""The ioctl that shares a file's blocks with another (Linux, ioctl_ficlonerange(2))."""

_STEP = 64 << 20
"""Bytes copied at once."""

_CANNOT = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY}


def copy_bytes(source: int, target: int, size: int) -> None:
    """Copy the first bytes of a file into an empty one; blocks are shared where the file system can."""
    with suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        os.ftruncate(target, size)
        return
    done = 0
    while done < size:
        count = _copy_some(source, target, done, min(_STEP, size - done))
        if not count:
            raise OSError(errno.EIO, "the object was cut short")
        done += count


def _copy_some(source: int, target: int, offset: int, count: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, count, offset, offset)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    return os.pwrite(target, os.pread(source, min(count, 1 << 20), offset), offset)

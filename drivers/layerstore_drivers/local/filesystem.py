"""What the driver demands of a file system, and the plain word where it does not have that (docs/local.md)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError

if TYPE_CHECKING:
    from io import FileIO

FIT = "keep the store on ext4, xfs, btrfs, zfs or tmpfs of this machine (docs/local.md)"

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}

_PROBE_NS = 1_000_000_001
"""A time that is of no whole second, nor of any whole part of one that a file system counts in."""


def refuse_no_locks(error: OSError, file: FileIO | int) -> None:
    """Say that a file system has no locks, if that is what an error means.

    Raises:
        BackendUnavailableError: it is.
    """
    if error.errno in _NO_LOCKS:
        raise BackendUnavailableError("", f"{_place(file)} is on a file system without flock: {FIT}") from error


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
        raise BackendUnavailableError("", f"{_place(fd)} is on a file system {detail}: {FIT}") from error


def refuse_coarse_times(fd: int) -> None:
    """Refuse a file system on which two versions of an object could have the same time; sets that of an open file.

    Raises:
        BackendUnavailableError: it does not keep times to the nanosecond.
    """
    os.utime(fd, ns=(_PROBE_NS, _PROBE_NS))
    if os.fstat(fd).st_mtime_ns != _PROBE_NS:
        detail = "that does not keep times in nanoseconds (ext4 with inodes of 128 bytes, FAT, some of a network)"
        raise BackendUnavailableError("", f"{_place(fd)} is on a file system {detail}: {FIT}")


def _place(file: FileIO | int) -> str:
    fd = file if isinstance(file, int) else file.fileno()
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "the store"

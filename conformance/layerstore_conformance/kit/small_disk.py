"""A small disk that only this process sees: what becomes full on it is nobody else's. Linux only.

The process gets a mount namespace of its own, and with the process the disk is gone.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from layerstore_conformance.kit.another_python import command, environment

_NEW_MOUNTS, _NEW_USERS = 0x0002_0000, 0x1000_0000  # CLONE_NEWNS, CLONE_NEWUSER
_PRIVATE = 0x4000 | 0x4_0000  # MS_REC, MS_PRIVATE


def mount_small_disk(directory: Path, size: int) -> None:
    """Have a disk of ``size`` bytes at a directory, in this process and in those that it starts.

    Raises:
        OSError: it cannot be had: this is not Linux, or the system gives it to root only.
    """
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.geteuid(), os.getegid()
    if not hasattr(libc, "unshare"):
        raise OSError("there are no namespaces")
    _succeed(libc.unshare(_NEW_MOUNTS | (_NEW_USERS if user else 0)))
    if user:  # who is root in a namespace of users may mount in it
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _succeed(libc.mount(b"none", b"/", None, _PRIVATE, None))
    _succeed(libc.mount(b"tmpfs", bytes(directory), b"tmpfs", 0, b"size=%d" % size))


def _succeed(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@cache
def works() -> bool:
    """Return whether a process can have a small disk here."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command("-m", __name__, folder), env=environment(), check=False, capture_output=True)
    return done.returncode == 0


if __name__ == "__main__":
    mount_small_disk(Path(sys.argv[1]), 1 << 20)

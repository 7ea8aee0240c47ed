"""Letting the operating system forget a file, so that the next reading is one from the disk."""

from __future__ import annotations

import os
from contextlib import suppress

ATTEMPTS = 10
"""How often the system is asked: it is free to keep a page."""


def drop_cache(fd: int) -> bool:
    """Have the system drop a file's pages, and tell whether it did: what is in memory alone, as on a tmpfs, stays.

    Pages that are being written stay as well, as do, for a moment, those that another processor has just brought in.
    """
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    return any(_dropped(fd) for _ in range(ATTEMPTS))


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

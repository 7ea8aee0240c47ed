"""Having the system begin to write to the disk, while more is coming: a sync has little left to wait for then."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

_WRITE = 2
"""``SYNC_FILE_RANGE_WRITE``: begin to write the dirty pages of the range, and wait for none (sync_file_range(2))."""


@cache
def _function() -> Callable[[int, int, int, int], int] | None:
    """Return the C library's ``sync_file_range``, which Python does not have; None where there is none."""
    try:
        found = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    found.restype = ctypes.c_int
    return found


def write_out(fd: int, start: int, size: int) -> None:
    """Begin to write a range of a file, in bytes. It promises nothing, and what fails here fails again in the sync."""
    function = _function()
    if function is not None:
        function(fd, start, size, _WRITE)

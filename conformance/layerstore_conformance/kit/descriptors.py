"""Count what this process has open."""

from __future__ import annotations

import gc
import os
from contextlib import suppress


def descriptors() -> int:
    """Return how many descriptors this process has open, after a collection; 0 if the system does not say."""
    gc.collect()
    for directory in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(directory))
    return 0


class Descriptor:
    """A descriptor, open until the defect is taken away again."""

    _number = -1

    def __init__(self) -> None:
        """Open one."""
        self._number = os.open(os.devnull, os.O_RDONLY)

    def __del__(self) -> None:
        if self._number >= 0:  # it could be opened
            os.close(self._number)

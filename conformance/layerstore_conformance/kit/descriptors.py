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


def inheritable() -> set[str]:
    """Return the descriptors that a program would get if it were started now, each with what it leads to."""
    found = set()
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with suppress(OSError):
            if os.get_inheritable(int(number)):
                found.add(f"{number}: {os.readlink(f'/proc/self/fd/{number}')}")
    return found

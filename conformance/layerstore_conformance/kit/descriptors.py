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

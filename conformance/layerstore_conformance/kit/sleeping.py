"""Add up for how long a piece of work asks to sleep: what it waits for, without a look at the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import SupportsIndex


@contextmanager
def asked_to_sleep() -> Iterator[list[float]]:
    """Yield a list of the seconds for which this thread asks to sleep in the block, each time that it does."""
    asked: list[float] = []
    real, here = time.sleep, threading.get_ident()

    def sleep(seconds: float | SupportsIndex, /) -> None:
        if threading.get_ident() == here:
            asked.append(float(seconds))
        real(seconds)

    time.sleep = sleep
    try:
        yield asked
    finally:
        time.sleep = real

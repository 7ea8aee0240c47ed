"""Be in another time zone for a while."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def in_zone(name: str) -> Iterator[None]:
    """Be in a time zone, as POSIX spells it."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    _take_effect()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        _take_effect()


def _take_effect() -> None:
    if hasattr(time, "tzset"):
        time.tzset()

"""Holes: whether a gap of GiB costs a driver nothing, tried with one of 64 MiB, by what that costs this process."""

from __future__ import annotations

import time
import tracemalloc
import uuid
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from layerstore.driver import Driver

TRIED: Final = 64 << 20
"""Bytes of the gap that is tried: no backend has more to take from it than that."""

SECONDS: Final = 0.012
"""Of computing in this process, beyond that for a gap of a byte: half of what it takes to copy so many bytes."""

ATTEMPTS: Final = 3
"""The cheapest of them counts: something else may be computed meanwhile."""


SMALL: Final = 16 << 20
"""Bytes of a gap that is tried before: most drivers that are charged for holes show it there."""


def free_of_charge(driver: Driver, prefix: str) -> bool:
    """Return whether a driver keeps holes for less than their zeros would cost in time and memory."""
    key = f"{prefix}/hole-{uuid.uuid4().hex}"
    try:
        least = min(_cost(driver, f"{key}/{number}", 1)[0] for number in range(ATTEMPTS))
        if _cost(driver, f"{key}/small", SMALL)[1] >= SMALL // 2:
            return False
        return any(_is_cheap(driver, f"{key}/large-{number}", least) for number in range(ATTEMPTS))
    except Exception:  # noqa: BLE001  (scenarios find what is wrong with the driver)
        return False
    finally:
        with suppress(Exception):
            driver.delete(key)


def _is_cheap(driver: Driver, key: str, least: float) -> bool:
    spent, peak = _cost(driver, key, TRIED)
    return spent - least < SECONDS and peak < TRIED // 8


def _cost(driver: Driver, key: str, gap: int) -> tuple[float, int]:
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, began = tracemalloc.get_traced_memory()[0], time.process_time()
    try:
        with closing(driver.open_writer(key)) as writer:
            writer.seek(gap)
            writer.write(b"beyond")
        with closing(driver.open_writer(key)) as writer:
            writer.write(b"at the end")
        driver.move(key, f"{key}-moved")
        return time.process_time() - began, tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()

"""Failed logins: after a number of them, logins are refused for a while."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final

KEPT: Final = 10_000
"""The number of callers whose failures are remembered. If there are more, the oldest are forgotten."""


class Throttle:
    """Counts failures by caller, within a span of time."""

    def __init__(self, most: int = 10, span: float = 60, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow ``most`` failures in ``span`` seconds."""
        self._most = most
        self._span = span
        self._clock = clock
        self._failed: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, caller: Hashable) -> float:
        """Return how many seconds a caller has to wait before its next login; 0 if it need not wait."""
        with self._lock:
            times = self._recent(caller)
            return times[0] + self._span - self._clock() if len(times) >= self._most else 0

    def failed(self, caller: Hashable) -> None:
        """Count a failure."""
        with self._lock:
            times = self._recent(caller)
            times.append(self._clock())
            self._failed[caller] = times
            self._failed.move_to_end(caller)
            while len(self._failed) > KEPT:
                self._failed.popitem(last=False)

    def _recent(self, caller: Hashable) -> deque[float]:
        times = self._failed.get(caller, deque())
        while times and times[0] <= self._clock() - self._span:
            times.popleft()
        return times

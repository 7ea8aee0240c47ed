"""Failed logins: so many, and then none for a while."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final

KEPT: Final = 10_000
"""Of so many callers failures are remembered; whoever guesses from more addresses pushes out the oldest."""


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
        """Return how many seconds a caller has to wait before it is listened to; 0: none."""
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

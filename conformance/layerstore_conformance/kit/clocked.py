"""A clock that is moved by hand, and a driver that uses it."""

from __future__ import annotations

from datetime import UTC, datetime

from layerstore.driver import Driver, Stat
from layerstore_conformance.kit.passing import PassingDriver


class Clock:
    """A clock that is moved by hand, with the time at which each version of a key was first seen."""

    def __init__(self) -> None:
        """Begin now."""
        self.now = datetime.now(UTC)
        self.seen: dict[tuple[str, str], datetime] = {}


class ClockedDriver(PassingDriver):
    """Any driver, with another clock than the backend's."""

    def __init__(self, inner: Driver, clock: Clock) -> None:
        """Take all times from ``clock``."""
        super().__init__(inner)
        self.clock = clock

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        found = self.inner.stat(key)
        modified = self.clock.seen.setdefault((key, found.version), self.clock.now)
        return Stat(found.size, modified, found.version)

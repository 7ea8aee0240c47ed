"""Defects of moves that have a lock for each of their keys: two of them wait for each other."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Final
from zlib import crc32

from layerstore.errors import BackendUnavailableError
from layerstore_conformance.engine.defect import DefectiveDriver, planted

LONG: Final = 2.0
"""Seconds until a move gives up; those that wait for each other would do so for ever."""

LOCKS: Final = 16
"""Locks of a store."""


class _Locking(DefectiveDriver):
    """Has locks, and takes those of both keys for a move."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Take the locks, one after the other, and move."""
        locks: defaultdict[str, threading.Lock] = self.memory.setdefault("locks", defaultdict(threading.Lock))
        taken: list[threading.Lock] = []
        try:
            for name in dict.fromkeys(self.names(source, target)):
                if not locks[name].acquire(timeout=LONG):
                    raise BackendUnavailableError(source, f"lock {name} is held for too long")
                taken.append(locks[name])
            self.inner.move(source, target, version=version)
        finally:
            for lock in taken:
                lock.release()

    def names(self, source: str, target: str) -> list[str]:
        """Return the names of the locks, in the order in which they are taken."""
        raise NotImplementedError


@planted("T6")
class MovesLockTheSourceFirst(_Locking):
    """A move takes the lock of its source, and then that of its target: one there and one back wait for each other."""

    def names(self, source: str, target: str) -> list[str]:
        """Return the keys."""
        return [source, target]


@planted("T6")
class MovesLockManyKeysInTheOrderOfNames(_Locking):
    """A move takes the locks of its keys in the order of the keys, and many keys share a lock."""

    def names(self, source: str, target: str) -> list[str]:
        """Return the locks, by the ends of the keys."""
        ends = ["/".join(key.split("/")[-3:]) for key in sorted((source, target))]
        return [str(crc32(end.encode()) % LOCKS) for end in ends]

"""Families of crowds: only so many threads, writers or readers get along."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Stat


@planted("T1", threads=range(12, 48))
class ThreadsLimited(DefectiveDriver):
    """Only so many different threads get a connection."""

    def stat(self, key: str) -> Stat:
        """Ask, by the thread's connection."""
        self._connect(key)
        return self.inner.stat(key)

    def put(self, key: str, data: bytes) -> None:
        """Put, by the thread's connection."""
        self._connect(key)
        self.inner.put(key, data)

    def _connect(self, key: str) -> None:
        known: set[int] = self.__dict__.setdefault("threads", set())
        known.add(threading.get_ident())
        if len(known) > self.at["threads"]:
            raise BackendUnavailableError(key, "no connection is left")


HandleT = TypeVar("HandleT", Reader, Writer)


def _with_others(memory: dict[str, Any], handle: HandleT, most: int) -> HandleT:
    """Keep a handle among those that are open; if there are too many, end the oldest."""
    opened: list[Reader | Writer] = memory.setdefault("handles", [])
    opened[:] = [each for each in opened if not each.closed]
    opened.append(handle)
    if len(opened) > most:
        oldest = opened.pop(0)
        oldest.discard() if isinstance(oldest, Writer) else oldest.close()
    return handle


@planted("T2", writers=range(75, 125))
class WritersLimited(DefectiveDriver):
    """So many writers are open at most: one more, and the oldest is discarded."""

    def open_writer(self, key: str) -> Writer:
        """Open one, and discard another."""
        return PassingWriter(_with_others(self.memory, self.inner.open_writer(key), self.at["writers"]))


@planted("T2", readers=range(100, 150))
class ReadersLimited(DefectiveDriver):
    """So many readers are open at most: one more, and the oldest is closed."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open one, and close another."""
        return PassingReader(_with_others(self.memory, self.inner.open_reader(key, offset), self.at["readers"]))


@planted("T2", "F3", handles=(140, 256, 500, 512, 1000, 1024))
class SoManyHandles(DefectiveDriver):
    """So many readers, and so many writers, are open at most: to open one more is refused."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open, if there is room."""
        return self._counted(key, "readers", lambda: self.inner.open_reader(key, offset))

    def open_writer(self, key: str) -> Writer:
        """Open, if there is room."""
        return self._counted(key, "writers", lambda: self.inner.open_writer(key))

    def _counted(self, key: str, kind: str, opens: Callable[[], HandleT]) -> HandleT:
        opened: WeakSet[HandleT] = self.memory.setdefault(kind, WeakSet())
        if len(opened) >= self.at["handles"] and sum(not each.closed for each in list(opened)) >= self.at["handles"]:
            raise BackendUnavailableError(key, f"{self.at['handles']} {kind} are open")
        handle = opens()
        opened.add(handle)
        return handle

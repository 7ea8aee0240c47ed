"""Families of calls: one in so many does nothing, or only so many threads and handles may make any."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader, PassingWriter

if TYPE_CHECKING:
    from layerstore.driver import Driver, Stat

CALLS = ("delete", "move", "stat", "list", "open_reader", "read")


@planted("D1", "M1", "S1", "L1", "R1", call=CALLS, period=range(2, 120))
class NthCallLost(DefectiveDriver):
    """One call of a kind in so many does nothing, or finds nothing."""

    def lost(self, call: str) -> bool:
        """Count a call, and return whether it is lost."""
        self.memory[call] = count = self.memory.get(call, 0) + 1
        return bool(call == self.at["call"] and count % self.at["period"] == 0)

    def delete(self, key: str) -> None:
        """Delete, or not."""
        if not self.lost("delete"):
            self.inner.delete(key)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, or not."""
        if not self.lost("move"):
            self.inner.move(source, target, version=version)

    def stat(self, key: str) -> Stat:
        """Find it, or not."""
        if self.lost("stat"):
            raise PathNotFoundError(key)
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[str]:
        """List, or not."""
        return iter(()) if self.lost("list") else self.inner.list(prefix)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Find it, or not."""
        if self.lost("open_reader"):
            raise PathNotFoundError(key)
        return _Reader(self, self.inner.open_reader(key, offset))


class _Reader(PassingReader):
    def __init__(self, driver: NthCallLost, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if self._driver.lost("read"):
            buffer[:] = bytes(len(buffer))
            return len(buffer)
        return super().read_at(offset, buffer)


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


@planted("T2", writers=range(25, 120))
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


@planted("T2", drivers=range(10, 50))
class DriversLimited(DefectiveDriver):
    """So many drivers are open at most: one more, and the one opened first is disconnected."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Take the place of the oldest."""
        super().__init__(inner, memory)
        self._connected = True
        opened: list[DriversLimited] = memory.setdefault("opened", [])
        opened.append(self)
        if len(opened) > self.at["drivers"]:
            opened.pop(0)._connected = False

    def put(self, key: str, data: bytes) -> None:
        """Put, if there is a connection."""
        if not self._connected:
            raise BackendUnavailableError(key, "disconnected")
        self.inner.put(key, data)

    def close(self) -> None:
        """Give the place back."""
        if self in self.memory["opened"]:
            self.memory["opened"].remove(self)
        self.inner.close()

"""The defect of storing later than a call returns: it shows when the process is killed, and in every kind of change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from layerstore.driver import Reader, Stat, Writer
from layerstore.errors import DriverError
from layerstore_conformance.defects.drivers.moving import move_later
from layerstore_conformance.defects.drivers.putting import put_later
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingWriter


@planted("C4", "W6", "P2", "M5", "D4")
class PublishesBehind(DefectiveDriver):
    """A flush, put, move or delete is stored with the process's next call; if the process is killed before, never.

    Within the process only versions and fencing show it.
    """

    def catch_up(self) -> None:
        """Store what has returned already."""
        waiting = self._waiting()
        while waiting:
            with suppress(DriverError, IndexError):  # it has returned already; another thread may be quicker
                waiting.popleft()()

    def behind(self, act: Callable[[], None]) -> None:
        """Do something later."""
        self.catch_up()
        self._waiting().append(act)

    def _waiting(self) -> deque[Callable[[], None]]:
        found: deque[Callable[[], None]] = self.memory.setdefault("waiting", deque())
        return found

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Catch up, and read."""
        self.catch_up()
        return self.inner.open_reader(key, offset)

    def open_writer(self, key: str) -> Writer:
        """Catch up, and open."""
        self.catch_up()
        return _Behind(self, self.inner.open_writer(key))

    def stat(self, key: str) -> Stat:
        """Catch up, and look."""
        self.catch_up()
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[str]:
        """Catch up, and list."""
        self.catch_up()
        return self.inner.list(prefix)

    def put(self, key: str, data: bytes) -> None:
        """Put later."""
        self.catch_up()
        self.behind(put_later(self.inner, key, data))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move later."""
        self.catch_up()
        self.behind(move_later(self.inner, source, target, version))

    def delete(self, key: str) -> None:
        """Delete later."""
        self.behind(partial(self.inner.delete, key))

    def close(self) -> None:
        """Catch up, and close."""
        self.catch_up()
        super().close()


class _Behind(PassingWriter):
    def __init__(self, driver: PublishesBehind, inner: Writer) -> None:
        super().__init__(inner)
        self._driver = driver
        self._waits = False

    def write_at(self, offset: int, data: memoryview) -> None:
        self._driver.catch_up()
        super().write_at(offset, data)

    def publish(self) -> str:
        self._driver.behind(self._flush)
        self._waits = True
        return self.inner.version or "to come"

    def _flush(self) -> None:
        self._waits = False
        try:
            self.inner.flush()
        finally:
            if self.closed:
                self.inner.discard()

    def release(self) -> None:
        if not self._waits:
            super().release()

"""Defects that show when a flush meets a change: the flush goes on as if nothing had come in between."""

from __future__ import annotations

import os
import threading
from typing import Any

from layerstore.driver import Writer
from layerstore.errors import BackendUnavailableError
from layerstore_conformance.defects.drivers.threads import MOMENT
from layerstore_conformance.defects.drivers.writing import ForgetfulWriter, RepeatingWriter
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class Crossing:
    """Makes a change wait until a flush has checked its fence, and the flush until the change is made."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._changed = threading.Event()

    def asked(self) -> None:
        """Say that a flush has checked its fence, and wait a moment for a change."""
        self._changed.clear()
        self._asked.set()
        self._changed.wait(MOMENT)
        self._asked.clear()

    def before_change(self) -> None:
        """Wait a moment until a flush has checked its fence."""
        self._asked.wait(MOMENT)

    def changed(self) -> None:
        """Say that the change was made."""
        self._changed.set()


@planted("F2", "F4", "D3")
class FlushOvertakesAChange(DefectiveDriver):
    """A flush checks its fence, and then publishes over a put, move or delete that came since."""

    @property
    def crossing(self) -> Crossing:
        """The place where a flush and a change meet."""
        found: Crossing = self.memory.setdefault("crossing", Crossing())
        return found

    def open_writer(self, key: str) -> Writer:
        """Open a writer that asks too early."""
        return _AskingWriter(self, self.inner.open_writer(key))

    def put(self, key: str, data: bytes) -> None:
        """Put, when a flush has asked."""
        self._wait()
        self.inner.put(key, data)
        self.crossing.changed()

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, when a flush has asked."""
        self._wait()
        self.inner.move(source, target, version=version)
        self.crossing.changed()

    def delete(self, key: str) -> None:
        """Delete, when a flush has asked."""
        self._wait()
        self.inner.delete(key)
        self.crossing.changed()

    def _wait(self) -> None:
        if threading.active_count() > 1:
            self.crossing.before_change()


class _AskingWriter(RepeatingWriter):
    driver: FlushOvertakesAChange

    def publish(self) -> str:
        super().publish()  # it raises if it is fenced
        if threading.active_count() > 1:
            self.driver.crossing.asked()
        return self.publish_over()


@planted("T1", "T2")
class ACloseWaitsForNoCall(DefectiveDriver):
    """Drivers share a connection, and one that is closed closes it, also in the middle of a call of another."""

    def put(self, key: str, data: bytes) -> None:
        """Put, over one connection."""
        connection = self.memory.setdefault("closed", 0)
        self.inner.put(key, data)
        if self.memory["closed"] != connection:
            raise BackendUnavailableError(key, "the connection was closed")

    def close(self) -> None:
        """Close the connection."""
        self.memory["closed"] = self.memory.get("closed", 0) + 1
        self.inner.close()


@planted("W6", "T2", "C3")
class SessionsAreBuriedWhileTheyBegin(DefectiveDriver):
    """A driver notes that it begins, and then that it lives; another one that looks in between takes it for dead."""

    session: object = None
    """What the driver is known by, once it has written."""

    def put(self, key: str, data: bytes) -> None:
        """Begin, and put."""
        self._begin()
        self.inner.put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Begin, and open a writer that is removed if its driver is dead."""
        self._begin()
        writer = _OfASession(self, self.inner.open_writer(key))
        self._all("writers").append(writer)
        return writer

    def _begin(self) -> None:
        if self.session is None:
            noted, alive = self._all("noted"), self._all("alive")
            writers = self._all("writers")
            for writer in writers:
                writer.lose_unless(noted)
            writers[:] = [writer for writer in writers if not writer.closed]
            noted[:] = [each for each in noted if each in alive]
            self.session = object()
            noted.append(self.session)
            for _ in range(4):
                os.stat(os.devnull)  # it takes a few steps until it is locked
            alive.append(self.session)

    def _all(self, what: str) -> list[Any]:
        found: list[Any] = self.memory.setdefault(what, [])
        return found


class _OfASession(ForgetfulWriter):
    driver: SessionsAreBuriedWhileTheyBegin

    def lose_unless(self, alive: list[object]) -> None:
        """Lose what was written, unless the driver is among these."""
        if self.driver.session not in alive:
            self._parts = []

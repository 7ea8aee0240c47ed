"""Defects by the clock: what is old is taken for a dead writer's."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from layerstore.driver import Writer
from layerstore.errors import FencedError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted

HOUR = 3600
"""Seconds."""


@planted("T2", "W6", "F3", "C3")
class OldDraftsAreClearedAway(DefectiveDriver):
    """Who opens a writer leaves a note of when, and clears away what was begun more than an hour ago beside it."""

    def open_writer(self, key: str) -> Writer:
        """Clear away, note, and open."""
        beside, _, name = key.rpartition("/")
        now = datetime.now(UTC)
        for note in [each for each in self.inner.list(f"{beside}/notes") if not each.endswith(f"/{name}")]:
            with self.inner.open_reader(note) as reader:
                since = datetime.fromisoformat(reader.readall().decode())
            if now - since > timedelta(seconds=HOUR):
                self.inner.open_writer(f"{beside}/{note.rpartition('/')[2]}").discard()
                self.inner.delete(note)
        self.inner.put(f"{beside}/notes/{name}", now.isoformat().encode())
        return self.inner.open_writer(key)


class _LeasingWriter(DefectiveWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._since = time.monotonic()

    def write_at(self, offset: int, data: memoryview) -> None:
        if self.driver.at["renewed"] == "by a write":
            self._since = time.monotonic()
        super().write_at(offset, data)

    def publish(self) -> str:
        if time.monotonic() - self._since > self.driver.at["seconds"]:
            raise FencedError(self.key, "its lease has ended")
        self._since = time.monotonic()
        return super().publish()


@planted("T2", "W6", "F3", seconds=(60, 900, HOUR), renewed=("by a write", "by a flush"))
class WritersHoldALease(WriterDefect):
    """A writer that has been idle for so long is taken for dead, though nobody has taken its key."""

    writer = _LeasingWriter

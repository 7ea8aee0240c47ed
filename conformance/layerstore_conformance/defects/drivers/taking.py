"""Defects of scans that tell of keys which writers have taken and not published: the time is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from layerstore.driver import Scanned, Unpublished, Writer
from layerstore.errors import PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class _TellsWhatIsTaken(DefectiveDriver):
    """Tells in a scan which keys directly below were taken and never published, and when."""

    def time(self) -> datetime:
        """Return the present time, or what is taken for it."""
        raise NotImplementedError

    def open_writer(self, key: str) -> Writer:
        """Open, and note when."""
        writer = self.inner.open_writer(key)
        self.memory.setdefault("taken", {})[key] = self.time()
        return writer

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and tell."""
        yield from (each for each in self.inner.scan(prefix) if not isinstance(each, Unpublished))
        for key, time in self.memory.get("taken", {}).items():
            if key.rpartition("/")[0] == prefix and not self._is_published(key):
                yield Unpublished(key, time)

    def _is_published(self, key: str) -> bool:
        try:
            self.inner.stat(key)
        except PathNotFoundError:
            return False
        return True


@planted("L6")
class TakenInLocalTime(_TellsWhatIsTaken):
    """The time at which a key was taken is that of the local clock, and is called UTC."""

    def time(self) -> datetime:
        """Return it so."""
        return datetime.now().astimezone().replace(tzinfo=UTC)


@planted("L6")
class TakenWithoutAZone(_TellsWhatIsTaken):
    """The time at which a key was taken does not say its zone."""

    def time(self) -> datetime:
        """Return it so."""
        return datetime.now(UTC).replace(tzinfo=None)


@planted("L6")
class TakenIsUnknown(_TellsWhatIsTaken):
    """The time at which a key was taken is that of the epoch."""

    def time(self) -> datetime:
        """Return it so."""
        return datetime(1970, 1, 1, tzinfo=UTC)

"""Purging on a timer: the first process at which it is due removes abandoned uploads.

Every process of every node has the timer. If a process finds that a purge is due, it writes the time into the store, by
a writer that fences those of the others (clause F1), and purges. If it is fenced, or finds a younger time there, it
does not purge. After a clock has jumped, two processes may purge at the same time, which does no harm.
"""

from __future__ import annotations

import logging
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from layerstore import FencedError, LayerService, LayerStoreError, PathNotFoundError, layout

if TYPE_CHECKING:
    from layerstore.upkeep.purge import PurgeReport

NOTE: Final = f"{layout.OURS}/serve/purged"
"""The key under which the time of the last purge is stored."""

EVERY: Final = timedelta(hours=1)

log = logging.getLogger("layerstore.registry")


def purge_if_due(
    service: LayerService, older_than: timedelta, *, now: datetime, every: timedelta = EVERY
) -> PurgeReport | None:
    """Purge. If another process has purged within ``every``, or is about to, return None instead."""
    writer = service.driver.open_writer(NOTE)
    try:
        if writer.version is not None and now - _noted(service, now) < every:
            return None
        writer.seek(0)
        writer.write(now.isoformat(timespec="seconds").encode("ascii").ljust(writer.size))
        writer.flush()
    except FencedError:
        return None
    finally:
        writer.discard()
    return service.purge(older_than, now=now)


def _noted(service: LayerService, now: datetime) -> datetime:
    """Return the time of the last purge. If the note is damaged or in the future, return a time long ago."""
    try:
        found = datetime.fromisoformat(service.driver.get(NOTE, 100).decode("ascii").strip())
        return found if found <= now else datetime.min.replace(tzinfo=UTC)
    except (PathNotFoundError, ValueError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


class Timer:
    """A thread that purges now and then, until it is stopped."""

    def __init__(self, service: LayerService, older_than: timedelta, every: timedelta = EVERY) -> None:
        """Begin. The first time comes after a random part of the span, so that processes do not all purge at once."""
        self._service = service
        self._older_than = older_than
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the purge that is under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        span = self._every.total_seconds()
        while not self._stopped.wait(random.uniform(0.1, 1) * span):  # noqa: S311  (no secret)
            try:
                report = purge_if_due(self._service, self._older_than, now=datetime.now(UTC), every=self._every)
            except LayerStoreError as error:
                log.warning("uploads were not purged: %s", str(error))
                continue
            for entry in report.removed if report else ():
                log.warning("upload %s of repository %s was purged", entry.uuid, entry.name)

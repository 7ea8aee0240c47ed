"""Purging on a timer: uploads that nobody goes on with, by whichever process comes first.

All processes of all nodes have the timer. One that finds it due notes the time in the store, by a writer that fences
the others' (clause F1), and purges; one that is fenced, or finds a note that is younger, leaves it alone. If two purge
at once, after a clock has jumped, that does no harm.
"""

from __future__ import annotations

import logging
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from layerstore import FencedError, LayerService, LayerStoreError, PathNotFoundError, layout

if TYPE_CHECKING:
    from layerstore.purge import PurgeReport

NOTE: Final = f"{layout.OURS}/serve/purged"
"""Where the time of the last purge is noted."""

EVERY: Final = timedelta(hours=1)

log = logging.getLogger("layerstore.registry")


def purge_if_due(
    service: LayerService, older_than: timedelta, *, now: datetime, every: timedelta = EVERY
) -> PurgeReport | None:
    """Purge, unless another process has within ``every``, or is about to; None then."""
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
    """Return the time of the last purge; of a note that is damaged, or of a time to come, one long ago."""
    try:
        found = datetime.fromisoformat(service.driver.get(NOTE, 100).decode("ascii").strip())
        return found if found <= now else datetime.min.replace(tzinfo=UTC)
    except (PathNotFoundError, ValueError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


class Timer:
    """A thread that purges now and then, until it is stopped."""

    def __init__(self, service: LayerService, older_than: timedelta, every: timedelta = EVERY) -> None:
        """Begin; the first time after a part of the span, by chance, so that not all processes come at once."""
        self._service = service
        self._older_than = older_than
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="purge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after what is under way."""
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

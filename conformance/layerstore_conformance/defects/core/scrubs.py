"""Defects of the core: what a scrub reads, tells and counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from typing import Any
from unittest.mock import Mock, patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import walk
from layerstore.contents.survey import Finding
from layerstore.digest import Digest
from layerstore.upkeep import scrub
from layerstore.upkeep.scrub import ScrubReport
from layerstore.upkeep.scrub import _Scrub as Scrub
from layerstore_conformance.engine.defect import planted_in_core

SCRUB = scrub.scrub
LOOK = Scrub._look
MISSING = Scrub._missing


class _FindsNothing(CheckedDriver):
    def find(self, key: str) -> None:
        del key


@planted_in_core("L1")
def scrub_of_one_reads_all() -> Iterator[None]:
    """A scrub of one repository reads every blob."""

    def begin(driver: CheckedDriver, *, name: str | None = None, **options: Any) -> ScrubReport:  # noqa: ANN401  (passed on)
        del name
        return SCRUB(driver, **options)

    with patch.object(scrub, "scrub", begin):
        yield


@planted_in_core("K3", "L1")
def areas_below_a_repository_are_its_own() -> Iterator[None]:
    """What is asked of a repository is done to those below it, too."""
    real = walk.areas

    def areas(children: walk.Children, name: str | None, missed: walk.Missed) -> Iterator[str]:
        below = f"{layout.REPOSITORIES}/{name}/"
        return (area for area in real(children, None, missed) if name is None or area.startswith(below))

    with patch.object(walk, "areas", areas):
        yield


@planted_in_core("S1")
def scrub_ignores_since() -> Iterator[None]:
    """A scrub reads every blob, however long ago it was stored."""

    def look(self: Scrub, key: str, digest: Digest) -> list[Finding]:
        self.since = None
        return LOOK(self, key, digest)

    with patch.object(Scrub, "_look", look):
        yield


@planted_in_core("S1")
def scrub_knows_only_what_it_reads() -> Iterator[None]:
    """A scrub does not say of a blob that it does not read whether anything links it."""

    def look(self: Scrub, key: str, digest: Digest) -> list[Finding]:
        stat = self.driver.find(key)
        old = self.since is not None and stat is not None and stat.modified < self.since
        return [] if old else LOOK(self, key, digest)

    with patch.object(Scrub, "_look", look):
        yield


@planted_in_core("L1", "S1")
def scrub_looks_for_a_blob_once() -> Iterator[None]:
    """A scrub calls a blob missing which was not there when it looked, and is there by the time it knows its links."""

    def missing(self: Scrub, key: str, digest: Digest) -> list[Finding]:
        with patch.object(self, "driver", _FindsNothing(self.driver, self.driver.scheme)):
            return MISSING(self, key, digest)

    with patch.object(Scrub, "_missing", missing):
        yield


@planted_in_core("L4", "S1")
def scrub_calls_young_blobs_unlinked() -> Iterator[None]:
    """A scrub says that nothing links a blob that was stored since it began."""

    def look(self: Scrub, key: str, digest: Digest) -> list[Finding]:
        self.known.began = datetime.max.replace(tzinfo=UTC)
        return LOOK(self, key, digest)

    with patch.object(Scrub, "_look", look):
        yield


@planted_in_core("R1")
def scrub_tells_no_progress() -> Iterator[None]:
    """A scrub tells nobody how many bytes it has read."""

    def begin(driver: CheckedDriver, **options: Any) -> ScrubReport:  # noqa: ANN401  (passed on)
        return SCRUB(driver, **{**options, "progress": None})

    with patch.object(scrub, "scrub", begin):
        yield


@planted_in_core("T4", "T6")
def scrub_goes_on_when_given_up() -> Iterator[None]:
    """A scrub that is given up reads the blobs that wait for a thread."""
    real = ThreadPoolExecutor.shutdown

    def shutdown(self: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        del cancel_futures
        real(self, wait)

    with patch.object(ThreadPoolExecutor, "shutdown", shutdown):
        yield


@planted_in_core("T4")
def scrub_reads_to_the_end_when_given_up() -> Iterator[None]:
    """A scrub that is given up reads the blobs that it is at to their ends."""
    with patch.object(scrub, "Event", lambda: Mock(is_set=lambda: False)):
        yield


@planted_in_core("L2")
def scrub_yields_what_is_done_first() -> Iterator[None]:
    """With several jobs, findings come in the order in which they are made."""

    def in_order(
        work: Callable[[str], list[Finding]], keys: Iterable[str], jobs: int, stop: Event
    ) -> Iterator[list[Finding]]:
        del stop
        running: deque[Future[list[Finding]]] = deque()
        with ThreadPoolExecutor(jobs) as pool:
            for key in keys:
                running.append(pool.submit(work, key))
                if len(running) > 2 * jobs:
                    done = next((each for each in running if each.done()), running[0])
                    running.remove(done)
                    yield done.result()
            yield from (each.result() for each in running)

    with patch.object(scrub, "in_order", in_order):
        yield


@planted_in_core("T4", "T6")
def scrub_reads_ahead_of_its_reader() -> Iterator[None]:
    """A scrub looks for every blob before it tells of the first one."""
    real = scrub.in_order

    def in_order(
        work: Callable[[str], list[Finding]], keys: Iterable[str], jobs: int, stop: Event
    ) -> Iterator[list[Finding]]:
        return real(work, list(keys), jobs, stop)

    with patch.object(scrub, "in_order", in_order):
        yield


@planted_in_core("E1")
def progress_that_fails_is_a_damage() -> Iterator[None]:
    """A scrub takes an exception of its caller's function for one of the backend."""
    real = Scrub.look

    def look(self: Scrub, key: str) -> list[Finding]:
        try:
            return real(self, key)
        except Exception as error:  # noqa: BLE001  (that is the defect)
            return [Finding("unreadable", key, detail=str(error))]

    with patch.object(Scrub, "look", look):
        yield


@planted_in_core("L2")
def scrub_counts_what_was_not_taken() -> Iterator[None]:
    """A finding is in a scrub's totals, and is its last, before its reader has done anything with it."""

    def following(self: ScrubReport) -> Finding:
        found = next(self.source)
        self.add(found)
        return found

    with patch.object(ScrubReport, "__next__", following):
        yield


@planted_in_core("M1", "K3")
def quarantine_by_the_second() -> Iterator[None]:
    """A damaged blob that is moved to quarantine replaces one that was moved there in the same second."""
    real = layout.quarantined
    with patch.object(layout, "quarantined", lambda digest, at: real(digest, at.replace(microsecond=0))):
        yield


@planted_in_core("K1")
def scrub_takes_any_time() -> Iterator[None]:
    """A moment without a time zone is taken for one in UTC."""

    def begin(driver: CheckedDriver, *, since: datetime | None = None, **options: Any) -> ScrubReport:  # noqa: ANN401  (passed on)
        aware = since.replace(tzinfo=UTC) if since is not None and since.tzinfo is None else since
        return SCRUB(driver, since=aware, **options)

    with patch.object(scrub, "scrub", begin):
        yield

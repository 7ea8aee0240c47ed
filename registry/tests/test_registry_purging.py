"""Uploads that nobody goes on with are removed on a timer, by one process at a time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from layerstore import BackendUnavailableError, LayerService
from layerstore.upkeep.purge import PurgeReport
from layerstore_registry.serving import purging
from layerstore_registry.serving.purging import NOTE, Timer, purge_if_due

if TYPE_CHECKING:
    from tests.serving import eventually
else:
    from serving import eventually

HOUR = timedelta(hours=1)


@pytest.fixture
def later(store: LayerService) -> datetime:
    """Begin an upload, and let two days pass."""
    store.begin("a")
    return datetime.now(UTC) + timedelta(days=2)


def removed(report: PurgeReport | None) -> int:
    """Count what was removed."""
    assert report is not None
    return len(report.removed)


def test_of_all_processes_one_purges(store: LayerService, later: datetime) -> None:
    """The first that finds it due; the next finds it done, until it is due again."""
    assert removed(purge_if_due(store, HOUR, now=later)) == 1
    assert purge_if_due(store, HOUR, now=later + timedelta(minutes=59)) is None
    assert removed(purge_if_due(store, HOUR, now=later + HOUR)) == 0
    assert purge_if_due(store, HOUR, now=later + HOUR) is None


def test_one_that_another_has_overtaken_leaves_it_alone(
    store: LayerService, later: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have found it due."""
    reports: list[PurgeReport | None] = []
    real = purging._noted

    def noted(service: LayerService, now: datetime) -> datetime:
        monkeypatch.undo()
        found = real(service, now)
        reports.append(purge_if_due(store, HOUR, now=later))
        return found

    store.driver.put(NOTE, b"2020-01-01T00:00:00+00:00")
    monkeypatch.setattr(purging, "_noted", noted)
    assert purge_if_due(store, HOUR, now=later) is None
    assert removed(reports[0]) == 1


@pytest.mark.parametrize("note", [b"", b"x", b"2020-01-01", b"9999-01-01T00:00:00+00:00", b"\xff", b"x" * 1000])
def test_a_note_that_is_damaged_stops_nothing(store: LayerService, later: datetime, note: bytes) -> None:
    """Nor one from a clock that was wrong; it is written anew."""
    store.driver.put(NOTE, note)
    assert removed(purge_if_due(store, HOUR, now=later)) == 1
    assert purge_if_due(store, HOUR, now=later) is None


def test_a_timer_purges_until_it_is_stopped(
    store: LayerService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails is logged, and tried again."""
    tried, done = threading.Semaphore(0), threading.Event()
    store.begin("a")

    def purge(older_than: timedelta, *, now: datetime) -> PurgeReport:
        tried.release()
        if not done.is_set():
            raise BackendUnavailableError("x", "no answer")
        return LayerService.purge(store, older_than, now=now)

    monkeypatch.setattr(store, "purge", purge)
    timer = Timer(store, timedelta(0), timedelta(microseconds=1))
    tried.acquire()
    done.set()
    eventually(lambda: not list(store.uploads()))
    timer.stop()
    assert "no answer" in caplog.text
    assert "was purged" in caplog.text

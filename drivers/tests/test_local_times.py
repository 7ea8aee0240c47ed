"""Times that another program may have given to files, and that no calendar has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import layerstore
from layerstore.driver import moment
from layerstore_conformance.kit.payloads import Payload, digest

DATA = Payload("times").read(2000)

YEARS = (-(10**11), -(10**10), -1, 10**10, 253_402_300_800, 10**12)
"""Seconds since 1970: before year 1, in 1653, in 1969, in 2286, in 10000, in 33658."""


@pytest.fixture
def root() -> Iterator[Path]:
    """Make a directory where a file may have any time: in memory, where there is such a file system."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory:
        yield Path(directory)


def date(root: Path, seconds: int) -> None:
    """Give every file of the store a time, or the nearest that the file system has."""
    for file in (root / "docker").rglob("*"):
        if file.is_file():
            os.utime(file, (seconds, seconds))


@pytest.mark.parametrize("seconds", YEARS)
def test_a_file_of_any_time_stops_no_tool(root: Path, seconds: int) -> None:
    """Layers and uploads are listed, read, gone on with and looked after, whatever times their files have."""
    store = layerstore.open(f"local://{root}")
    upload = store.upload("a")
    upload.write(DATA)
    upload.finish(digest(DATA)).close()
    with store.upload("a") as begun:
        begun.write(DATA[:500])
    date(root, seconds)
    assert [layer.size for layer in store.layers()] == [len(DATA)]
    assert [each.offset for each in store.uploads()] == [500]
    assert store.fetch("a", digest(DATA)).read() == DATA
    store.purge(timedelta(days=7), dry_run=True)
    store.collect()
    assert [each.kind for each in store.scrub()] == ["ok"]
    resumed = store.resume("a", begun.uuid, offset=500)
    resumed.write(DATA[500:])
    assert resumed.finish(digest(DATA)).read() == DATA


def test_a_time_that_no_calendar_has_is_the_nearest_one() -> None:
    """From year 1 to year 9999, to the microsecond."""
    assert moment(1_999) == datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)
    assert moment(-(10**21)) == datetime.min.replace(tzinfo=UTC)
    assert moment(10**21) == datetime.max.replace(tzinfo=UTC)

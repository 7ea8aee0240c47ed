"""Keys that a writer took and published nothing under, of a driver that leaves them: leftovers, of an age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from layerstore import LayerService, UnknownUploadError, Unpublished, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Scanned, Writer
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import Payload, digest

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DATA = Payload("unpublished").read(3 << 20)


class Leaving(PassingDriver):
    """A driver whose scans show keys that a writer has taken, as one does that reserves them in its backend."""

    def __init__(self, inner: Driver) -> None:
        """Have none taken yet."""
        super().__init__(inner)
        self.taken: dict[str, datetime] = {}

    def open_writer(self, key: str) -> Writer:
        """Take the key."""
        self.taken[key] = datetime.now(UTC)
        return self.inner.open_writer(key)

    def delete(self, key: str) -> None:
        """Take away what is taken, too."""
        self.inner.delete(key)
        self.taken = {each: at for each, at in self.taken.items() if not f"{each}/".startswith(f"{key}/")}

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and yield what is taken and was not published, or the prefix that it lies in."""
        listed = list(self.inner.list(prefix))
        yield from listed
        for key, at in self.taken.items():
            if key.startswith(f"{prefix}/"):
                name = key[: key.find("/", len(prefix) + 1) + 1] or key
                if name not in listed:
                    yield Unpublished(name, at)


@pytest.fixture
def driver(url: str) -> Leaving:
    """Open the store by such a driver."""
    return Leaving(open_driver(url))


@pytest.fixture
def store(driver: Leaving) -> LayerService:
    """Serve it."""
    return LayerService(CheckedDriver(driver))


@pytest.fixture
def keys(store: LayerService, driver: Leaving) -> layout.UploadKeys:
    """Have a process killed that had written 3 MiB, a day ago, and flushed nothing."""
    upload = store.upload("a/b")
    upload.write(DATA)
    keys = layout.UploadKeys("a/b", upload.uuid)
    driver.taken = dict.fromkeys(driver.taken, NOW - DAY)
    return keys


def test_it_is_a_leftover_and_no_upload(store: LayerService, keys: layout.UploadKeys) -> None:
    """A scrub tells of it, without harm; it is not listed, and nobody can resume it; a collection does not mind."""
    found = [(each.kind, each.key, each.harmful) for each in store.scrub()]
    assert found == [("leftover", f"{keys.prefix}/", False)]
    assert list(store.uploads()) == []
    assert list(store.repositories()) == []
    with pytest.raises(UnknownUploadError):
        store.resume("a/b", keys.uuid)
    assert store.collect().removed == []


def test_it_is_purged_by_the_time_it_was_taken(store: LayerService, driver: Leaving, keys: layout.UploadKeys) -> None:
    """Younger, it is kept: somebody may be at work."""
    assert [each.uuid for each in store.purge(2 * DAY).kept] == [keys.uuid]
    assert [each.uuid for each in store.purge(DAY, dry_run=True).removed] == [keys.uuid]
    assert driver.taken
    assert [each.uuid for each in store.purge(DAY).removed] == [keys.uuid]
    assert not driver.taken
    assert list(store.scrub()) == []


def test_an_upload_that_others_come_to_know_of_meanwhile_is_let_go(store: LayerService, driver: Leaving) -> None:
    """Its first flush between the two looks of a purge is seen by the second, and the upload stays."""
    upload = store.upload("a")
    upload.write(DATA)
    driver.taken = dict.fromkeys(driver.taken, NOW - DAY)
    opened = driver.open_writer

    def flush_first(key: str) -> Writer:
        driver.open_writer = opened  # type: ignore[method-assign]  # once
        upload.flush()
        return opened(key)

    driver.open_writer = flush_first  # type: ignore[method-assign]
    assert [each.uuid for each in store.purge(DAY).skipped] == [upload.uuid]
    resumed = store.resume("a", upload.uuid, offset=len(DATA))
    assert resumed.finish(digest(DATA)).size == len(DATA)


def test_an_upload_that_was_purged_finds_that_it_is_gone(store: LayerService, driver: Leaving) -> None:
    """A handle that has written for longer than a purge's age, and flushed nothing, has to begin anew."""
    upload = store.upload("a")
    upload.write(DATA)
    driver.taken = dict.fromkeys(driver.taken, NOW - DAY)
    assert [each.uuid for each in store.purge(DAY).removed] == [upload.uuid]
    with pytest.raises(UnknownUploadError):
        upload.finish(digest(DATA))
    assert list(store.uploads()) == []

"""What a service needs that keeps no handle between two requests, and sends layers over sockets."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import timedelta

import pytest

import layerstore
from layerstore import BackendUnavailableError, InvalidNameError, LayerService, UnknownLayerError, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore.driver import Reader
from layerstore_conformance.kit.cutting import Side
from layerstore_conformance.kit.observed import Counts, ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, fail, of

DATA = Payload("front").read(5000)


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it."""
    return LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))


def test_an_upload_that_was_only_begun_is_gone_on_with_anywhere(store: LayerService, other: LayerService) -> None:
    """Another node knows of it at once, at offset 0, and finishes it."""
    begun = store.begin("a")
    assert other.status("a", begun.uuid) == begun
    assert [info.uuid for info in other.uploads("a")] == [begun.uuid]
    upload = other.resume("a", begun.uuid, offset=0)
    upload.write(DATA)
    assert upload.finish(digest(DATA)).read() == DATA
    assert list(store.uploads()) == []


def test_an_upload_may_be_called_by_an_id_that_is_given(store: LayerService) -> None:
    """Of the form that all have."""
    uuid = "00000000-0000-4000-8000-000000000000"
    assert store.begin("a", uuid=uuid).uuid == store.status("a", uuid).uuid == uuid
    for wrong in ("../x", ""):
        with pytest.raises(layerstore.InvalidUploadIDError):
            store.begin("a", uuid=wrong)


def test_beginning_costs_one_put(url: str) -> None:
    """No writer is opened for an upload that has no bytes yet."""
    counts = Counts.zero()
    LayerService(ObservedDriver(open_driver(url), counts)).begin("a")
    assert counts.calls == {"put": 1}


def test_asking_after_what_was_only_begun_costs_few_calls(url: str) -> None:
    """Its start, and the data and intents, which are not there: no blob is, where nothing is meant to be one."""
    counts = Counts.zero()
    service = LayerService(ObservedDriver(open_driver(url), counts))
    begun = service.begin("a")
    counts.calls.clear()
    assert service.status("a", begun.uuid) == begun
    assert counts.calls == {"open_reader": 1, "read_at": 1, "list": 1}  # the data's stat has failed


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(
    ("call", "cut_off"),
    [("stat", False), ("open_reader", False), ("stat", True), ("list", True), ("open_reader", True)],
)
def test_an_upload_that_is_finished_while_it_is_asked_after_is_never_empty(
    url: str, other: LayerService, call: str, cut_off: bool, side: Side
) -> None:
    """Its data may be looked for when it has become a blob: the upload is unknown then, or as long as it was."""
    trap, moved = Trap(side), Trap("after")
    service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    begun = service.begin("a")
    with other.resume("a", begun.uuid) as upload:
        upload.write(DATA)
    if cut_off:
        upload = LayerService(CheckedDriver(ObservedDriver(open_driver(url), moved))).resume("a", begun.uuid)
        moved.set(of("move"), fail)
        with pytest.raises(BackendUnavailableError):
            upload.finish(digest(DATA))
    ends = other.resume("a", begun.uuid)
    trap.set(of(call), lambda: ends.finish(digest(DATA)).close())
    with suppress(layerstore.UnknownUploadError):
        assert service.status("a", begun.uuid).offset == len(DATA)
    assert trap.sprung


def test_an_upload_that_was_only_begun_is_cancelled_and_purged(store: LayerService, raw: CheckedDriver) -> None:
    """As any other is."""
    store.cancel("a", store.begin("a").uuid)
    begun = store.begin("a")
    assert [entry.uuid for entry in store.purge(timedelta(0)).removed] == [begun.uuid]
    assert list(raw.list(layout.uploads("a"))) == []


def test_what_is_begun_needs_a_name(store: LayerService) -> None:
    """A bad one stores nothing."""
    with pytest.raises(InvalidNameError):
        store.begin("A")
    assert list(store.repositories()) == []


def test_an_upload_tells_whether_its_data_has_become_a_blob(store: LayerService, trap: Trap) -> None:
    """After a finish that was cut off behind its move it cannot be written to, but finished; before, it is not so."""
    begun = store.begin("a")
    upload = store.resume("a", begun.uuid)
    upload.write(DATA)
    assert not upload.moved

    def fail() -> None:
        raise BackendUnavailableError("x", "cut off")

    trap.set(of("put", "/link"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(DATA))
    again = store.resume("a", begun.uuid)
    assert again.moved
    assert again.finish(digest(DATA)).read() == DATA


class Filed(PassingDriver):
    """A driver whose readers have a file."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Give a reader a descriptor's number."""
        reader = super().open_reader(key, offset)
        reader.fileno = lambda: 7  # type: ignore[method-assign]
        return reader


def stored(service: LayerService) -> layerstore.Layer:
    """Store a layer, and return it as it was finished: not opened yet."""
    upload = service.upload("a")
    upload.write(DATA)
    return upload.finish(digest(DATA))


def test_a_layer_has_a_descriptor_where_its_driver_has_a_file(url: str) -> None:
    """That of the file, also before the first read."""
    with stored(LayerService(Filed(open_driver(url)))) as layer:
        assert layer.fileno() == 7


def test_a_layer_has_no_descriptor_where_its_driver_has_no_file(store: LayerService) -> None:
    """It says so as every file object does."""
    with stored(store) as layer, pytest.raises(io.UnsupportedOperation):
        layer.fileno()


def test_a_layer_that_is_closed_or_gone_has_no_descriptor(store: LayerService, raw: CheckedDriver) -> None:
    """It says which of the two."""
    layer = stored(store)
    raw.delete(layout.blob(layer.canonical))
    with pytest.raises(UnknownLayerError):
        layer.fileno()
    layer.close()
    with pytest.raises(layerstore.LayerClosedError):
        layer.fileno()


class Signing(PassingDriver):
    """A driver that lets others read an object by a URL."""

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """Name the object."""
        self.inner.stat(key)
        return f"https://elsewhere/{key}?for={lasts.total_seconds():.0f}"


def test_a_layer_can_be_read_by_a_url_where_its_driver_signs_one(url: str) -> None:
    """For as long as was asked, or for twenty minutes; under each of its digests."""
    service, wanted = LayerService(Signing(open_driver(url))), digest(DATA)
    stored(service).close()
    where = f"https://elsewhere/{layout.blob(layerstore.Digest.parse(wanted))}?for="
    assert service.redirect_url("a", wanted) == f"{where}1200"
    assert service.redirect_url("a", wanted, lasts=timedelta(seconds=5)) == f"{where}5"


def test_where_no_driver_signs_there_is_no_url(store: LayerService) -> None:
    """Though the layer is there."""
    stored(store).close()
    assert store.redirect_url("a", digest(DATA)) is None


def test_no_url_leads_to_what_the_repository_does_not_have(url: str, raw: CheckedDriver) -> None:
    """Neither another one's layer nor one whose blob is gone, before it was looked for or just then."""
    service, blob = LayerService(Signing(open_driver(url))), layout.blob(layerstore.Digest.parse(digest(DATA)))
    stored(service).close()
    with pytest.raises(UnknownLayerError):
        service.redirect_url("b", digest(DATA))
    real = service.driver.find

    def find(key: str) -> layerstore.Stat | None:
        found = real(key)
        raw.delete(blob)
        return found

    service.driver.find = find  # type: ignore[method-assign]  # it goes just then
    with pytest.raises(UnknownLayerError):
        service.redirect_url("a", digest(DATA))
    with pytest.raises(UnknownLayerError):
        service.redirect_url("a", digest(DATA))

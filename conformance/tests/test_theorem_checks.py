"""The theorem's checks prove themselves: each finds the damage that is planted for it, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import layerstore
from layerstore import Digest, InvalidPathError, LayerService, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.promises import lifecycles, theorem
from layerstore_conformance.promises.lifecycles import LIFECYCLES, TrackedUpload

OTHER = Payload("other").read(3000)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store of the test's own."""
    return f"memory://{tmp_path.name}"


@pytest.fixture
def raw(url: str) -> CheckedDriver:
    """Open the side door, through which damage is planted."""
    return open_driver(url)


@pytest.fixture
def store(url: str) -> LayerService:
    """Open the store."""
    return layerstore.open(url)


@pytest.fixture
def finished(store: LayerService) -> TrackedUpload:
    """Run a straight lifecycle to its layer."""
    tracked = TrackedUpload(store, "a")
    lifecycles.straight(tracked)
    return tracked


@pytest.fixture
def closed(store: LayerService) -> TrackedUpload:
    """Run a lifecycle as far as a closed upload of two chunks."""
    tracked = TrackedUpload(store, "a")
    tracked.begin()
    tracked.write()
    tracked.write()
    tracked.close()
    return tracked


def keys(tracked: TrackedUpload) -> layout.UploadKeys:
    """Return the keys of a tracked upload."""
    assert tracked.uuid
    return layout.UploadKeys(tracked.name, tracked.uuid)


def blob(tracked: TrackedUpload) -> str:
    """Return the key of a tracked upload's layer."""
    return layout.blob(Digest.parse(tracked.wanted))


@pytest.mark.parametrize("lifecycle", LIFECYCLES)
def test_an_undisturbed_life_passes_every_check(
    store: LayerService, raw: CheckedDriver, lifecycle: Callable[[TrackedUpload], None]
) -> None:
    """The checks find nothing where nothing is wrong."""
    tracked = TrackedUpload(store, "a")
    lifecycle(tracked)
    theorem.check_store(raw)
    theorem.check_nothing_left(raw, tracked)
    assert not theorem.check_upload(store, tracked)
    if tracked.finished:
        theorem.check_layer(store, tracked)


def test_every_key_below_a_prefix_is_found(raw: CheckedDriver) -> None:
    """However deep, and nothing beside it."""
    for key in ("a/b", "a/c/d/e", "a/c/f", "ab", "b/a"):
        raw.put(key, b"")
    assert list(keys_below(raw, "a")) == ["a/b", "a/c/d/e", "a/c/f"]
    assert len(list(keys_below(raw, ""))) == 5


@pytest.mark.parametrize("children", [("a/b", "a/b"), ("a/c", "a/b"), ("a/",), ("b",)])
def test_a_listing_that_may_go_on_for_ever_is_found(
    raw: CheckedDriver, children: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells a child twice, an earlier one, itself, or what lies elsewhere."""
    monkeypatch.setattr(raw, "list", lambda _: iter(children))
    with pytest.raises(AssertionError, match=f"the listing of a tells {children[-1]} after"):
        list(keys_below(raw, "a"))


@pytest.mark.parametrize("data", [b"", OTHER])
def test_a_blob_of_other_bytes_is_found(raw: CheckedDriver, finished: TrackedUpload, data: bytes) -> None:
    """Empty, or whole and another's."""
    raw.put(blob(finished), data)
    with pytest.raises(AssertionError, match="holds other bytes"):
        theorem.check_store(raw)


def test_a_blob_that_is_partial_is_found(raw: CheckedDriver, finished: TrackedUpload) -> None:
    """One byte short is not whole, whether a repository has it or not."""
    raw.delete(layout.REPOSITORIES)
    raw.put(blob(finished), bytes(finished.content[:-1]))
    with pytest.raises(AssertionError, match="holds other bytes"):
        theorem.check_store(raw)


@pytest.mark.parametrize("text", [digest(OTHER), "damaged"])
def test_a_link_that_leads_nowhere_is_found(raw: CheckedDriver, finished: TrackedUpload, text: str) -> None:
    """To no blob that is there."""
    raw.put(layout.link("b", Digest.parse(finished.wanted)), text.encode())
    with pytest.raises(AssertionError, match="leads nowhere"):
        theorem.check_store(raw)


@pytest.mark.parametrize("text", [b"", b"sha256:", b"\xff"])
def test_a_link_that_is_none_is_found(raw: CheckedDriver, finished: TrackedUpload, text: bytes) -> None:
    """A link that does not even name a blob fails as well."""
    raw.put(layout.link("b", Digest.parse(finished.wanted)), text)
    with pytest.raises((InvalidPathError, UnicodeDecodeError)):
        theorem.check_store(raw)


def test_a_blob_that_went_from_under_its_link_is_found(raw: CheckedDriver, finished: TrackedUpload) -> None:
    """The link is left, and leads nowhere."""
    raw.delete(blob(finished))
    with pytest.raises(AssertionError, match="leads nowhere"):
        theorem.check_store(raw)


def test_a_layer_of_other_bytes_is_found_and_narrated(
    raw: CheckedDriver, store: LayerService, finished: TrackedUpload
) -> None:
    """The check says what lies there instead."""
    raw.put(blob(finished), bytes(finished.content[:3000]) + OTHER + bytes(finished.content[6000:]))
    with pytest.raises(
        AssertionError, match=r"there: byte 0 of payload other:0 instead of byte 3000 of payload upload:0"
    ):
        theorem.check_layer(store, finished)


def test_an_upload_that_is_as_promised_passes(store: LayerService, closed: TrackedUpload) -> None:
    """It is there, and the check says so."""
    assert theorem.check_upload(store, closed)


def test_an_upload_that_is_gone_is_found(raw: CheckedDriver, store: LayerService, closed: TrackedUpload) -> None:
    """Nobody had begun to finish or to cancel it."""
    raw.delete(keys(closed).prefix)
    with pytest.raises(AssertionError, match="an upload that was promised is gone"):
        theorem.check_upload(store, closed)


def test_an_upload_without_its_data_is_found(raw: CheckedDriver, store: LayerService, closed: TrackedUpload) -> None:
    """It is listed, and what was promised is not there."""
    raw.delete(keys(closed).data)
    with pytest.raises(AssertionError, match="0 bytes instead of 6000"):
        theorem.check_upload(store, closed)


@pytest.mark.parametrize("data", [b"", b"short", OTHER + OTHER])
def test_an_upload_of_other_bytes_is_found(
    raw: CheckedDriver, store: LayerService, closed: TrackedUpload, data: bytes
) -> None:
    """Fewer than were promised, or others."""
    raw.put(keys(closed).data, data)
    with pytest.raises(AssertionError, match=r"bytes.*the same up to byte"):
        theorem.check_upload(store, closed)


def test_an_upload_of_bytes_that_were_never_flushed_is_found(store: LayerService, closed: TrackedUpload) -> None:
    """More than was promised is as wrong as less."""
    with store.resume("a", keys(closed).uuid) as upload:
        upload.write(OTHER)
    with pytest.raises(AssertionError, match="9000 bytes instead of 6000"):
        theorem.check_upload(store, closed)


def test_a_finished_upload_that_is_still_there_is_found(
    raw: CheckedDriver, store: LayerService, finished: TrackedUpload
) -> None:
    """Its beginning came back."""
    raw.put(keys(finished).started_at, b"2015-01-21T16:42:05Z")
    with pytest.raises(AssertionError, match="a finished upload is still there"):
        theorem.check_upload(store, finished)


def test_a_cancelled_upload_that_is_still_there_is_found(raw: CheckedDriver, store: LayerService) -> None:
    """A cancelled upload must stay cancelled."""
    tracked = TrackedUpload(store, "a")
    lifecycles.cancelled(tracked)
    raw.put(keys(tracked).started_at, b"2015-01-21T16:42:05Z")
    with pytest.raises(AssertionError, match="a cancelled upload is still there"):
        theorem.check_upload(store, tracked)


def test_a_finished_upload_without_its_layer_is_found(
    raw: CheckedDriver, store: LayerService, finished: TrackedUpload
) -> None:
    """The upload is gone, and so is the link."""
    raw.delete(layout.layers("a"))
    with pytest.raises(layerstore.UnknownLayerError):
        theorem.check_upload(store, finished)


@pytest.mark.parametrize("name", ["state", "data", "intent/x"])
def test_what_is_left_of_an_upload_is_found(raw: CheckedDriver, finished: TrackedUpload, name: str) -> None:
    """Any key below the upload is one too many."""
    raw.put(f"{keys(finished).prefix}/{name}", b"")
    with pytest.raises(AssertionError, match=f"left of the upload.*{name}"):
        theorem.check_nothing_left(raw, finished)


def test_an_upload_that_was_cut_off_is_finished(store: LayerService, raw: CheckedDriver, closed: TrackedUpload) -> None:
    """The ending writes it again, finishes it, and finds the layer."""
    theorem.finish_again(store, closed)
    theorem.check_store(raw)
    assert store.exists("a", closed.wanted)


def test_an_upload_that_was_cut_off_is_cancelled(
    store: LayerService, raw: CheckedDriver, closed: TrackedUpload
) -> None:
    """The ending leaves nothing, and makes sure that it is gone."""
    theorem.cancel_again(store, closed)
    assert list(keys_below(raw, "")) == []


def test_a_cancel_that_does_nothing_is_found(
    store: LayerService, closed: TrackedUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that only says that it has cancelled is not believed."""
    monkeypatch.setattr(store, "cancel", lambda *_: None)
    with pytest.raises(AssertionError, match="left of the upload"):
        theorem.cancel_again(store, closed)
    monkeypatch.setattr(theorem, "check_nothing_left", lambda *_: None)
    with pytest.raises(AssertionError, match="a cancelled upload was resumed"):
        theorem.cancel_again(store, closed)


def test_a_life_accepts_no_wrong_digest(store: LayerService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lifecycle that finishes with a wrong digest fails where that succeeds."""
    monkeypatch.setattr(TrackedUpload, "finish", lambda *_: None)
    with pytest.raises(AssertionError, match="a wrong digest was accepted"):
        lifecycles.wrong_then_right(TrackedUpload(store, "a"))


def test_an_upload_that_nobody_lists_is_found(raw: CheckedDriver, store: LayerService, closed: TrackedUpload) -> None:
    """Data without a beginning, of an upload that nobody had begun to end."""
    raw.delete(keys(closed).started_at)
    with pytest.raises(AssertionError, match="keys of uploads that are not listed"):
        theorem.check_reclaimed(store, closed)


def test_what_a_cancel_that_was_cut_off_has_left_is_reclaimed(
    raw: CheckedDriver, store: LayerService, closed: TrackedUpload
) -> None:
    """It need not be listed, and it goes."""
    raw.delete(keys(closed).started_at)
    closed.take("cancelling")
    theorem.check_reclaimed(store, closed)
    assert list(keys_below(raw, "")) == []


@pytest.mark.parametrize("key", [f"{layout.uploads('a')}/stray", "layerstore/stray"])
def test_what_nobody_reclaims_is_found(
    raw: CheckedDriver, store: LayerService, finished: TrackedUpload, key: str
) -> None:
    """Wherever it lies, it is no layer."""
    raw.put(key, b"")
    with pytest.raises(AssertionError, match=r"left of uploads that were purged.*stray"):
        theorem.check_reclaimed(store, finished)


def test_a_purge_that_removes_nothing_is_found(
    store: LayerService, closed: TrackedUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that does not name the upload is not believed to have taken it."""
    nothing = store.purge(timedelta(0), dry_run=True, name="b")
    monkeypatch.setattr(store, "purge", lambda *_, **__: nothing)
    with pytest.raises(AssertionError, match="a purge of everything has left something"):
        theorem.check_reclaimed(store, closed)


def test_a_purged_upload_that_is_still_there_is_found(raw: CheckedDriver, store: LayerService) -> None:
    """A purged upload must stay purged."""
    tracked = TrackedUpload(store, "a")
    lifecycles.purged(tracked)
    raw.put(keys(tracked).started_at, b"2015-01-21T16:42:05Z")
    with pytest.raises(AssertionError, match="a purged upload is still there"):
        theorem.check_upload(store, tracked)


def test_an_earlier_layer_that_is_gone_is_found_before_it_is_healed(
    raw: CheckedDriver, store: LayerService, finished: TrackedUpload
) -> None:
    """An upload brings it back; the check reports that it was gone meanwhile."""
    finished.begin()
    finished.write(9000)
    finished.close()
    raw.delete(layout.layers("a"))
    with pytest.raises(layerstore.UnknownLayerError):
        theorem.check_cut_off(store, finished, theorem.finish_again)


def test_a_resumed_upload_that_is_mistaken_about_its_bytes_is_found(
    store: LayerService, closed: TrackedUpload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is compared before anything is written over it."""
    closed.resume()
    closed.write()
    closed.abandon()
    monkeypatch.setattr(layerstore.LayerUpload, "digest", lambda _: digest(OTHER))
    with pytest.raises(AssertionError, match="is not that of the stored bytes"):
        theorem.finish_again(store, closed)

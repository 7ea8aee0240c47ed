"""Dropping links that no manifest refers to: what is referred to stays, and what leads nowhere goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from layerstore import Digest, LayerService, layout
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.payloads import digest

if TYPE_CHECKING:
    from tests.unreferenced.pushes import (
        IDLE,
        IMAGE,
        USED,
        about,
        gc,
        image,
        index,
        later,
        layer,
        push,
        revision,
        unlinked,
    )
else:
    from pushes import IDLE, IMAGE, USED, about, gc, image, index, later, layer, push, revision, unlinked


def test_a_layer_that_no_manifest_refers_to_is_dropped_and_deleted(store: LayerService, raw: CheckedDriver) -> None:
    """The link goes, and then the blob; what the image refers to is as it was."""
    report = gc(store)
    (dropped,) = report.dropped.removed
    assert (dropped.name, dropped.kind, str(dropped.digest), dropped.key) == ("a", "layer", digest(IDLE), layer(IDLE))
    assert [str(each.digest) for each in report.removed] == [digest(IDLE)]
    assert (report.dropped.failed, report.dropped.skipped) == ([], {})
    assert (store.exists("a", digest(IDLE)), store.fetch("a", digest(USED)).read()) == (False, USED)
    assert (list(keys_below(raw, layout.OURS)), gc(store).dropped.removed) == ([], [])


def test_without_being_asked_for_no_link_is_dropped(store: LayerService) -> None:
    """A layer without a manifest is a layer."""
    assert unlinked(store.collect(now=later())) == []
    assert store.exists("a", digest(IDLE))


def test_untagged_is_a_part_of_unreferenced(store: LayerService) -> None:
    """It is refused by itself."""
    with pytest.raises(ValueError, match="unreferenced"):
        store.collect(untagged=True)


def test_by_default_what_is_younger_than_a_day_stays(store: LayerService, raw: CheckedDriver) -> None:
    """A push may take long; without links to drop, an hour is enough."""
    raw.put(layout.blob(Digest.of(b"x")), b"x")
    now = datetime.now(UTC)
    assert unlinked(store.collect(now=now + timedelta(hours=23), unreferenced=True)) == []
    assert [str(each.digest) for each in store.collect(now=now + timedelta(hours=23)).removed] == [digest(b"x")]
    assert unlinked(store.collect(now=now + timedelta(hours=25), unreferenced=True)) == [layer(IDLE)]


def test_a_layer_of_which_one_name_is_young_stays_by_all(store: LayerService, raw: CheckedDriver) -> None:
    """Its sha512 was linked later."""
    other = layout.link("a", Digest("sha512", "0" * 128))
    raw.put(other, digest(IDLE).encode())
    after = raw.stat(layer(IDLE)).modified + timedelta(microseconds=1)
    assert unlinked(store.collect(now=after, grace=timedelta(0), unreferenced=True)) == []
    assert unlinked(gc(store)) == [layer(IDLE), other]


@pytest.mark.parametrize("named", ["sha512", "tarsum.v1+sha256"])
def test_a_layer_that_is_wanted_by_another_name_stays_by_all(
    store: LayerService, raw: CheckedDriver, named: str
) -> None:
    """A manifest has its sha512; or it has a tarsum, which no manifest has, so no registry has stored it."""
    other = Digest(named, "0" * (128 if named == "sha512" else 64))
    raw.put(layout.link("a", other), digest(IDLE).encode())
    push(raw, image(annotations={"of": str(other)}), "v2")
    assert unlinked(gc(store)) == []


def test_a_manifest_refers_to_layers_of_its_own_repository(store: LayerService, raw: CheckedDriver) -> None:
    """A layer elsewhere is not kept by it, and its blob is kept by the other repository."""
    store_layer(store, "b/c", USED)
    report = gc(store)
    assert unlinked(report) == [layer(IDLE), layer(USED, "b/c")]
    assert (store.exists("a", digest(USED)), store.exists("b/c", digest(USED))) == (True, False)


def tree(raw: CheckedDriver) -> dict[str, bytes]:
    """Store manifests that nothing but manifests leads to, and return them."""
    found = {"child": image(IDLE), "lone": image(annotations={"lone": "x"})}
    found["index"] = index(found["child"])
    found["about"] = about(found["lone"])
    for data in found.values():
        push(raw, data)
    return found


def test_untagged_manifests_go_from_the_top_down(store: LayerService, raw: CheckedDriver) -> None:
    """First what nothing refers to, then what only that had referred to, then the layers; and what tags remember."""
    found = tree(raw)
    raw.put(layout.tag_entry("a", "v1", Digest.of(found["lone"])), digest(found["lone"]).encode())
    note = layout.referrer("a", Digest.of(found["lone"]), Digest.of(found["about"]))
    raw.put(note, b"{}")
    report = gc(store, untagged=True)
    history = layout.tag_entry("a", "v1", Digest.of(found["lone"]))
    gone = {*map(revision, found.values()), layer(IDLE), history, note}
    assert (set(unlinked(report)), len(unlinked(report))) == (gone, len(gone))
    order = {each.digest: at for at, each in enumerate(report.dropped.removed) if each.kind == "manifest"}
    assert order[Digest.of(found["index"])] < order[Digest.of(found["child"])]
    assert order[Digest.of(found["lone"])] < order[Digest.of(found["about"])]
    assert {str(each.digest) for each in report.removed} == {digest(data) for data in [IDLE, *found.values()]}
    assert (raw.find(revision(IMAGE)) is None, store.exists("a", digest(USED))) == (False, True)


def test_without_untagged_every_manifest_keeps_what_it_has(store: LayerService, raw: CheckedDriver) -> None:
    """Pulled by its digest, it is whole."""
    tree(raw)
    assert unlinked(gc(store)) == []


@pytest.mark.parametrize("top", ["index", "lone", "child"])
def test_what_a_tag_leads_to_stays(store: LayerService, raw: CheckedDriver, top: str) -> None:
    """By an index that is tagged, or by a subject that is."""
    found = tree(raw)
    push(raw, found[top], "top")
    stays = {"index": {"index", "child"}, "lone": {"lone", "about"}, "child": {"child"}}[top]
    gone = set(unlinked(gc(store, untagged=True)))
    assert {name for name, data in found.items() if revision(data) not in gone} == stays
    assert store.exists("a", digest(IDLE)) == ("child" in stays)


def test_what_a_tag_remembers_goes_with_the_manifest(store: LayerService, raw: CheckedDriver) -> None:
    """Another registry has deleted the manifest, and has left the tag's history, which would keep its bytes."""
    push(raw, image(), "v1")
    raw.delete(revision(IMAGE))
    report = gc(store)
    assert set(unlinked(report)) == {layout.tag_entry("a", "v1", Digest.of(IMAGE)), layer(IDLE), layer(USED)}
    assert digest(IMAGE) in {str(each.digest) for each in report.removed}


def test_what_a_tag_stands_for_is_not_its_history(store: LayerService, raw: CheckedDriver) -> None:
    """A tag whose manifest is gone is left as it is."""
    raw.delete(revision(IMAGE))
    assert layout.tag_entry("a", "v1", Digest.of(IMAGE)) not in unlinked(gc(store))
    assert raw.find(layout.tag("a", "v1")) is not None


@pytest.mark.parametrize("untagged", [False, True])
def test_a_dry_run_lists_exactly_what_a_run_takes(store: LayerService, raw: CheckedDriver, untagged: bool) -> None:
    """Links and blobs, in the same order; and it changes nothing."""
    tree(raw)
    before = {key: raw.stat(key).version for key in keys_below(raw, "")}
    dry = gc(store, untagged=untagged, dry_run=True)
    assert {key: raw.stat(key).version for key in keys_below(raw, "")} == before
    report = gc(store, untagged=untagged)
    assert (report.dropped.removed, report.removed) == (dry.dropped.removed, dry.removed)
    assert (dry.dry_run, dry.dropped.dry_run, report.dropped.dry_run) == (True, True, False)
    assert len(dry.dropped.removed) == (5 if untagged else 0)

"""Dropping links that no manifest refers to: what is referred to stays, whoever comes between; in doubt, all does."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from layerstore import (
    BackendUnavailableError,
    CollectReport,
    Digest,
    LayerService,
    MarkingIncompleteError,
    UnknownLayerError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.contents import links, manifest
from layerstore.upkeep.unreferenced import drop
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap, When, fail, of

if TYPE_CHECKING:
    from tests.conftest import Strewn

CONFIG, USED, IDLE = b"{}", b"a layer in use", b"a layer that nothing refers to"
HOUR = timedelta(hours=1)


def later() -> datetime:
    """Return a moment at which everything stored now is old enough."""
    return datetime.now(UTC) + timedelta(days=2)


def image(*layers: bytes, **more: object) -> bytes:
    """Write the manifest of an image."""
    described = [{"digest": digest(layer)} for layer in layers]
    body = {"schemaVersion": 2, "mediaType": manifest.IMAGES[0], "config": {"digest": digest(CONFIG)}}
    return json.dumps(body | {"layers": described} | more).encode()


def index(*manifests: bytes) -> bytes:
    """Write an index."""
    children = [{"digest": digest(each)} for each in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": manifest.INDEXES[0], "manifests": children}).encode()


def about(subject: bytes) -> bytes:
    """Write the manifest of something that is about another manifest."""
    return image(subject={"digest": digest(subject)})


def revision(data: bytes, name: str = "a") -> str:
    """Return the key of a manifest's link."""
    return layout.revision(name, Digest.of(data))


def layer(data: bytes, name: str = "a") -> str:
    """Return the key of a layer's link."""
    return layout.link(name, Digest.of(data))


def push(driver: CheckedDriver, data: bytes, *tags: str, name: str = "a") -> None:
    """Store a manifest, as a registry does."""
    text = digest(data).encode()
    driver.put(layout.blob(Digest.of(data)), data)
    driver.put(revision(data, name), text)
    for tag in tags:
        driver.put(layout.tag_entry(name, tag, Digest.of(data)), text)
        driver.put(layout.tag(name, tag), text)


IMAGE = image(USED)


@pytest.fixture
def store(url: str, trap: Trap, raw: CheckedDriver) -> LayerService:
    """Open the store with the trap in it: an image, and a layer that nothing refers to."""
    service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    for data in (CONFIG, USED, IDLE):
        store_layer(service, "a", data)
    push(raw, IMAGE, "v1")
    return service


def gc(store: LayerService, *, untagged: bool = False, dry_run: bool = False) -> CollectReport:
    """Collect all that nothing refers to, whatever its age."""
    return store.collect(now=later(), unreferenced=True, untagged=untagged, dry_run=dry_run)


def unlinked(report: CollectReport) -> list[str]:
    """Return the keys of the links that were dropped."""
    return [each.key for each in report.dropped.removed]


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
    assert (report.dropped, report.removed) == (dry.dropped, dry.removed)
    assert len(dry.dropped.removed) == (5 if untagged else 0)


ODD = {
    "a manifest of another type": (revision(b"{}"), digest(b"{}").encode(), b"{}"),
    "a damaged manifest": (revision(b"x"), digest(b"x").encode(), b"y"),
    "a manifest that is too large": (revision(b"z"), digest(b"z").encode(), b"z" * (manifest.LARGEST + 1)),
    "a manifest without bytes": (revision(b"none"), digest(b"none").encode(), None),
    "a damaged link": (layer(b"x"), b"sha256:else", None),
    "a link to no sha256": (layout.link("a", Digest("sha512", "0" * 128)), b"sha512:" + b"0" * 128, None),
    "a digest that is none": (f"{layout.layers('a')}/sha256/xyz/link", digest(IDLE).encode(), None),
    "a signature": (f"{revision(IMAGE)[:-5]}/signatures/sha256/{'0' * 64}/link", digest(IDLE).encode(), None),
}


@pytest.mark.parametrize(("key", "link", "data"), ODD.values(), ids=ODD)
def test_a_repository_with_something_odd_stays_whole(
    store: LayerService, raw: CheckedDriver, key: str, link: bytes, data: bytes | None
) -> None:
    """It is reported, with what is odd; other repositories are not kept by it."""
    raw.put(key, link)
    if data is not None:
        raw.put(layout.blob(links.parse(link, padded=False)), data)
    store_layer(store, "b", b"elsewhere")
    expected = (["a"], [layer(b"elsewhere", "b")])
    for dry_run in (True, False):
        dropped = drop(store.driver, later(), untagged=True, dry_run=dry_run)
        assert (list(dropped.skipped), [each.key for each in dropped.removed]) == expected
    assert store.exists("a", digest(IDLE))


def test_a_name_that_is_none_is_skipped(store: LayerService, raw: CheckedDriver) -> None:
    """Something lies where repositories do."""
    raw.put(f"{layout.REPOSITORIES}/A/_layers/sha256/{digest(IDLE)[7:]}/link", digest(IDLE).encode())
    assert list(gc(store).dropped.skipped) == ["A"]


@pytest.mark.parametrize("prefix", [layout.layers("a"), layout.manifests("a"), layout.tags("a")])
def test_a_repository_with_something_foreign_stays_whole(
    store: LayerService, raw: CheckedDriver, strewn: Strewn, prefix: str
) -> None:
    """Also if a collection of blobs is to go on without it; else nothing at all is dropped."""
    foreign = strewn.leave(prefix)
    service = LayerService(strewn)
    with pytest.raises(MarkingIncompleteError):
        gc(service)
    report = service.collect(now=later(), unreferenced=True, ignore_foreign=True)
    assert report.dropped.skipped == {"a": f"{foreign.name}: not understood: a symlink"}
    assert store.exists("a", digest(IDLE))


def test_what_is_foreign_beside_a_repository_is_not_its_own(store: LayerService, strewn: Strewn) -> None:
    """It hides no manifest of this one."""
    strewn.leave(f"{layout.REPOSITORIES}")
    service = LayerService(strewn)
    report = service.collect(now=later(), unreferenced=True, ignore_foreign=True)
    assert unlinked(report) == [layer(IDLE)]


def test_what_is_no_link_refers_to_nothing(store: LayerService, raw: CheckedDriver) -> None:
    """A key that somebody has left among the links keeps nothing, and stays."""
    stray = f"{layout.layers('a')}/sha256/stray"
    raw.put(stray, digest(IDLE).encode())
    assert (unlinked(gc(store)), raw.find(stray) is None) == ([layer(IDLE)], False)


def at_look(number: int, key: str = layout.REPOSITORIES + "/a/_manifests") -> When:
    """Be true of the first call of the second look at a repository, and so on; a mark comes before the first."""
    seen = itertools.count()
    return lambda _, call: (call.method, call.key) == ("list", key) and next(seen) == number


def test_the_note_of_a_referrer_that_is_pushed_meanwhile_stays(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Its manifest had gone; it is there again when the collection looks for the second time."""
    data = about(IMAGE)
    note = layout.referrer("a", Digest.of(IMAGE), Digest.of(data))
    raw.put(note, b"{}")
    trap.set(at_look(2), lambda: push(raw, data))
    assert (unlinked(gc(store)), trap.sprung) == ([layer(IDLE)], True)
    assert json.loads(raw.get(note, 99)) == {}


def test_repositories_that_cannot_be_listed_stop_it(store: LayerService, trap: Trap) -> None:
    """Nothing has been dropped then."""
    seen = itertools.count()
    trap.set(lambda _, call: call.key == layout.REPOSITORIES and next(seen) == 2, fail)
    with pytest.raises(BackendUnavailableError):
        gc(store)
    assert store.exists("a", digest(IDLE))


@pytest.mark.parametrize("number", [1, 2])
def test_a_look_that_fails_changes_nothing(store: LayerService, raw: CheckedDriver, trap: Trap, number: int) -> None:
    """The first, or the one after the link was condemned: it is spelled as before."""
    trap.set(at_look(number), fail)
    report = gc(store)
    assert (unlinked(report), list(report.dropped.skipped), trap.sprung) == ([], ["a"], True)
    assert raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def test_a_manifest_that_was_removed_meanwhile_refers_to_nothing(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Its link was listed, and its bytes are gone when they are read."""

    def remove() -> None:
        raw.delete(revision(IMAGE))
        raw.delete(layout.blob(Digest.of(IMAGE)))

    trap.set(of("open_reader", layout.blob(Digest.of(IMAGE))), remove)
    assert layer(USED) in unlinked(gc(store))


def test_a_link_that_was_removed_before_it_is_read_is_none(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """It was listed; the mark has read it once."""
    seen = itertools.count()
    trap.set(
        lambda _, call: (call.method, call.key) == ("open_reader", layer(IDLE)) and next(seen) == 1,
        lambda: raw.delete(layer(IDLE)),
    )
    assert (unlinked(gc(store)), trap.sprung) == ([], True)


@pytest.mark.parametrize("when", [of("open_writer", "_layers"), of("move", "_layers")], ids=["condemn", "move"])
def test_what_cannot_be_dropped_is_told_of(store: LayerService, trap: Trap, when: When) -> None:
    """The next collection drops it."""
    trap.set(when, fail)
    report = gc(store)
    assert (unlinked(report), [each.key for each in report.dropped.failed]) == ([], [layer(IDLE)])
    assert isinstance(report.dropped.failed[0].error, BackendUnavailableError)
    assert store.exists("a", digest(IDLE))
    assert unlinked(gc(store)) == [layer(IDLE)]


def test_what_was_dropped_and_not_deleted_goes_in_the_end(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """It is no link any more."""
    trap.set(of("delete", f"{layout.DELETED}/"), fail)
    assert unlinked(gc(store)) == [layer(IDLE)]
    assert (trap.sprung, list(keys_below(raw, layout.OURS))) == (True, [])


@pytest.mark.parametrize("method", ["open_writer", "stat", "write_at"])
def test_a_layer_uploaded_again_before_it_is_condemned_is_young(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, method: str
) -> None:
    """It was old when it was picked; the upload's client has its time to store a manifest."""
    moment = raw.stat(layer(IDLE)).modified + timedelta(days=1, microseconds=1)
    picked = itertools.count()
    trap.set(
        lambda _, call: (call.method, call.key) == (method, layer(IDLE)) and next(picked) == (method == "stat"),
        lambda: store_layer(other, "a", IDLE),
    )
    assert (unlinked(store.collect(now=moment, unreferenced=True)), trap.sprung) == ([], True)
    assert raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def killed(store: LayerService, trap: Trap) -> None:
    """Have a collection be killed when it has condemned a link, and cannot spell it as before."""

    def die() -> None:
        trap.set(of("open_writer"), fail)
        raise KeyboardInterrupt

    trap.set(at_look(2), die)
    with pytest.raises(KeyboardInterrupt):
        gc(store)


def test_a_condemned_link_is_a_link(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """A collection was killed: the layer is served and listed, no blob is collected, and a scrub finds nothing."""
    killed(store, trap)
    assert raw.get(layer(IDLE), 99) == b"SHA" + digest(IDLE).encode()[3:]
    assert (store.fetch("a", digest(IDLE)).read(), store.exists("a", digest(IDLE))) == (IDLE, True)
    assert digest(IDLE) in {str(each.digest) for each in store.layers("a")}
    assert store.collect(now=later()).removed == []
    assert {finding.kind for finding in store.scrub()} == {"ok"}
    with store.mount("b", digest(IDLE), source="a"):
        assert raw.get(layer(IDLE, "b"), 99) == digest(IDLE).encode()


@pytest.mark.parametrize("wanted", [False, True])
def test_what_a_killed_collection_has_condemned_is_ended_by_the_next(
    store: LayerService, raw: CheckedDriver, trap: Trap, wanted: bool
) -> None:
    """Spelled as before if something refers to it by now, and else dropped."""
    killed(store, trap)
    push(raw, image(IDLE), "v2") if wanted else None
    assert unlinked(gc(store)) == ([] if wanted else [layer(IDLE)])
    assert not wanted or raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def test_a_condemned_link_that_is_renewed_is_as_before(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """And if that fails, whoever asks does not hear that the layer is there to stay."""
    killed(store, trap)
    trap.set(of("open_writer"), fail)
    with pytest.raises(BackendUnavailableError):
        store.renew("a", digest(IDLE))
    assert store.renew("a", digest(IDLE))
    assert raw.get(layer(IDLE), 99) == digest(IDLE).encode()


def test_a_young_link_is_renewed_without_a_write(store: LayerService, trap: Trap) -> None:
    """It has time enough."""
    trap.set(of("open_writer"), fail)
    assert (store.renew("a", digest(IDLE)), trap.sprung) == (True, False)


@pytest.mark.parametrize("wanted", [digest(b"none"), f"tarsum.v1+sha256:{'0' * 64}"])
def test_what_is_not_there_is_not_renewed(store: LayerService, raw: CheckedDriver, wanted: str) -> None:
    """No link, a damaged one, one that leads elsewhere, and one without a blob."""
    assert not store.renew("a", wanted)
    for text in (b"damaged", digest(USED).encode(), b"sha512:" + b"0" * 128):
        raw.put(layer(b"none"), text)
        assert not store.renew("a", digest(b"none"))
    raw.put(layer(b"none"), digest(b"none").encode())
    assert not store.renew("a", digest(b"none"))


class Aging:
    """The time, some of which has passed."""

    @staticmethod
    def now(zone: object) -> datetime:
        """Return a moment at which a link is old."""
        del zone
        return datetime.now(UTC) + links.RENEWED_AFTER + HOUR


@pytest.mark.parametrize("failing", [False, True])
def test_an_old_link_is_made_young(
    store: LayerService, raw: CheckedDriver, trap: Trap, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    """The client that asked has as long as after an upload; if that fails, the layer is there all the same."""
    monkeypatch.setattr(links, "datetime", Aging)
    before = raw.stat(layer(IDLE)).modified
    trap.set(of("open_writer" if failing else "none"), fail)
    assert store.renew("a", digest(IDLE))
    assert (raw.stat(layer(IDLE)).modified > before, trap.sprung) == (not failing, failing)
    moment = before + timedelta(days=1, microseconds=1)
    assert unlinked(store.collect(now=moment, unreferenced=True)) == ([layer(IDLE)] if failing else [])


@pytest.mark.parametrize("method", ["stat", "open_writer", "write_at", "publish"])
def test_a_link_that_goes_while_it_is_renewed_stays_gone(
    store: LayerService, raw: CheckedDriver, trap: Trap, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A delete came between: the answer is that it is not there."""
    monkeypatch.setattr(links, "datetime", Aging)
    trap.set(of(method, "_layers"), lambda: raw.delete(layer(IDLE)))
    assert (store.renew("a", digest(IDLE)), raw.find(layer(IDLE)), trap.sprung) == (False, None, True)


def push_safely(store: LayerService, *layers: bytes, tags: tuple[str, ...] = ()) -> bytes | None:
    """Store an image as a registry does, and return it; None if something is missing that it refers to."""
    data = image(*layers)
    push(store.driver, data)
    if not all(store.renew("a", digest(each)) for each in layers):
        store.driver.delete(revision(data))
        return None
    for tag in tags:
        store.driver.put(layout.tag("a", tag), digest(data).encode())
    if links.renew(store.driver, revision(data)) is None:
        return push_safely(store, *layers)
    return data


def push_idle(store: LayerService) -> bytes | None:
    """Push an image of the layer that nothing has referred to."""
    return push_safely(store, IDLE, tags=("v2",))


def push_after_asking(store: LayerService) -> bytes | None:
    """Push it after asking whether the layer is there, and upload it if it is not."""
    if not store.renew("a", digest(IDLE)):
        store_layer(store, "a", IDLE)
    return push_idle(store)


def mount(store: LayerService) -> None:
    """Mount the layer elsewhere."""
    with suppress(UnknownLayerError):
        store.mount("b", digest(IDLE), source="a").close()


def collect(store: LayerService) -> None:
    """Collect, too."""
    gc(store, untagged=True)


def unlink(store: LayerService) -> None:
    """Remove the layer."""
    with suppress(UnknownLayerError):
        store.unlink("a", digest(IDLE))


def check(store: LayerService, raw: CheckedDriver, rival: object, pushed: list[object], moment: str) -> None:
    """Check that what was answered is so."""
    assert store.fetch("a", digest(USED)).read() == USED, moment
    assert raw.find(revision(IMAGE)) is not None, moment
    if pushed and isinstance(pushed[0], bytes):
        assert raw.find(revision(pushed[0])) is not None, moment
        assert store.fetch("a", digest(IDLE)).read() == IDLE, moment
    if rival is unlink:
        assert raw.find(layer(IDLE)) is None, moment
    if raw.find(layer(IDLE, "b")) is not None:
        assert store.fetch("b", digest(IDLE)).read() == IDLE, moment
    texts = {raw.get(key, 99)[:7] for key in keys_below(raw, layout.REPOSITORIES) if key.endswith("/link")}
    assert texts == {b"sha256:"}, moment


RIVALS = [push_idle, push_after_asking, mount, collect, unlink]


@pytest.mark.parametrize("rival", RIVALS)
def test_whoever_comes_between_what_was_answered_is_there(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, rival: Callable[[LayerService], object]
) -> None:
    """Before each call of a collection in turn; when both are done, no link is condemned, either."""
    for number in itertools.count():
        store_layer(other, "a", IDLE)
        answers: list[object] = []
        trap.set(lambda at, _, n=number: at == n, lambda a=answers: a.append(rival(other)))  # type: ignore[misc]  # of this turn
        gc(store, untagged=True)
        check(other, raw, rival, answers, f"{rival.__name__} before {trap.calls[min(number, len(trap.calls) - 1)]}")
        for left in (revision(image(IDLE)), layout.tag("a", "v2"), f"{layout.REPOSITORIES}/b"):
            raw.delete(left)
        if not trap.sprung:
            break
    assert number > 60, "the rival came, and came before every call"


@pytest.mark.parametrize("work", [push_idle, push_after_asking])
def test_a_collection_in_the_middle_of_a_push_takes_nothing_that_was_answered(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, work: Callable[[LayerService], object]
) -> None:
    """Before each call of a push in turn: it is refused, or whole."""
    for number in itertools.count():
        store_layer(other, "a", IDLE)
        trap.set(lambda at, _, n=number: at == n, lambda: collect(other))  # type: ignore[misc]  # of this turn
        answer = work(store)
        check(other, raw, work, [answer], f"before {trap.calls[min(number, len(trap.calls) - 1)]}")
        for left in (revision(image(IDLE)), layout.tag("a", "v2")):
            raw.delete(left)
        if not trap.sprung:
            break
    assert number > 9, "the collection came, and came before every call"

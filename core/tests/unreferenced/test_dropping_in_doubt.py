"""Dropping links: in doubt, when something is odd, foreign or fails, everything in a repository stays."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from layerstore import BackendUnavailableError, Digest, LayerService, MarkingIncompleteError, layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links, manifest
from layerstore.upkeep.unreferenced import drop
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.watching import Trap, When, fail, of

if TYPE_CHECKING:
    from tests.conftest import Strewn
    from tests.unreferenced.pushes import (
        IDLE,
        IMAGE,
        USED,
        about,
        at_look,
        gc,
        image,
        later,
        layer,
        push,
        revision,
        unlinked,
    )
else:
    from pushes import IDLE, IMAGE, USED, about, at_look, gc, image, later, layer, push, revision, unlinked


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


def test_what_is_referred_to_again_is_reported_as_kept(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """Nothing referred to it at the first look, and a manifest does at the second: its link is as it was."""
    trap.set(at_look(2), lambda: push(raw, image(IDLE)))
    report = gc(store)
    assert ([each.key for each in report.dropped.kept], unlinked(report)) == ([layer(IDLE)], [])
    assert raw.get(layer(IDLE), 99) == digest(IDLE).encode()


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

"""Collecting garbage: what nothing uses goes, whatever is linked, claimed or young stays; in doubt, all of it does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    CollectReport,
    Digest,
    LayerService,
    LayerStoreError,
    MarkingIncompleteError,
    UnknownLayerError,
    UnknownUploadError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.cutting import Side
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import blob, link
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, When, fail, of

if TYPE_CHECKING:
    from tests.conftest import Strewn

USED = Payload("used").read(3000)
IDLE = Payload("idle").read(700)
WRONG = bytes(700)
HOUR = timedelta(hours=1)


def later() -> datetime:
    """Return a moment at which everything stored now is old enough."""
    return datetime.now(UTC) + HOUR + timedelta(seconds=1)


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it: a layer in use, and a blob that nothing links any more."""
    service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    for data in (USED, IDLE):
        store_layer(service, "a", data)
    service.unlink("a", digest(IDLE))
    return service


def digests(report: CollectReport) -> list[list[str]]:
    """Return what was removed, kept and failed."""
    return [[str(each.digest) for each in part] for part in (report.removed, report.kept, report.failed)]


def trash(raw: CheckedDriver) -> list[str]:
    """Return the keys that are in the trash or in quarantine."""
    return list(keys_below(raw, "layerstore"))


def test_a_blob_that_nothing_links_is_deleted(store: LayerService, raw: CheckedDriver) -> None:
    """The report names it and its size; the layer in use is as it was."""
    report = store.collect(now=later())
    assert digests(report) == [[digest(IDLE)], [], []]
    assert (report.removed[0].size, report.in_use, report.young) == (len(IDLE), 1, 0)
    assert raw.find(blob(IDLE)) is None
    assert store.fetch("a", digest(USED)).read() == USED
    assert trash(raw) == []


def test_nothing_to_collect_is_nothing_done(url: str, store: LayerService) -> None:
    """A second time nothing is found, and in an empty store neither."""
    store.collect(now=later())
    assert digests(store.collect(now=later())) == [[], [], []]
    assert digests(layerstore.open(f"{url}-empty").collect()) == [[], [], []]


@pytest.mark.parametrize("grace", [timedelta(0), HOUR])
def test_a_blob_stored_since_is_kept(store: LayerService, raw: CheckedDriver, grace: timedelta) -> None:
    """Stored when the mark began, less the grace, or later, it stays, to the microsecond."""
    modified = raw.stat(blob(IDLE)).modified
    assert store.collect(now=modified + grace, grace=grace).young == 1
    assert raw.find(blob(IDLE)) is not None
    assert digests(store.collect(now=modified + grace + timedelta(microseconds=1), grace=grace))[0] == [digest(IDLE)]


def test_by_the_clock_an_hour_is_kept(store: LayerService) -> None:
    """Without being told of a moment or a grace."""
    assert store.collect().young == 1


LINKS = {
    "a layer": f"{layout.REPOSITORIES}/b/_layers/sha256/{digest(IDLE)[7:]}/link",
    "a layer by its sha512": f"{layout.REPOSITORIES}/b/c/_layers/sha512/{'0' * 128}/link",
    "a tarsum": f"{layout.REPOSITORIES}/b/_layers/tarsum/v1/sha256/{'0' * 64}/link",
    "a manifest": f"{layout.REPOSITORIES}/b/_manifests/revisions/sha256/{digest(IDLE)[7:]}/link",
    "a tag": f"{layout.REPOSITORIES}/b/_manifests/tags/latest/current/link",
    "an earlier tag": f"{layout.REPOSITORIES}/b/_manifests/tags/latest/index/sha256/{digest(IDLE)[7:]}/link",
    "a layer of no repository's name": f"{layout.REPOSITORIES}/B/_layers/sha256/{digest(IDLE)[7:]}/link",
}


@pytest.mark.parametrize("key", LINKS.values(), ids=LINKS)
def test_every_link_keeps_its_blob(store: LayerService, raw: CheckedDriver, key: str) -> None:
    """Of any repository, any algorithm, and a registry's own."""
    raw.put(key, digest(IDLE).encode())
    assert digests(store.collect(now=later())) == [[], [], []]


def test_a_tarsums_link_that_was_mended_keeps_its_blob(store: LayerService, raw: CheckedDriver) -> None:
    """Written over a longer one that was damaged, it ends in newlines."""
    raw.put(LINKS["a tarsum"], digest(IDLE).encode().ljust(200, b"\n"))
    assert digests(store.collect(now=later())) == [[], [], []]


def test_a_finish_cut_off_keeps_its_blob(store: LayerService, trap: Trap) -> None:
    """Its intent has claimed the blob: the finish can be gone on with."""
    upload = store.upload("a")
    upload.write(b"claimed")
    upload.flush()
    trap.set(of("put", "/link"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(b"claimed"))
    assert digests(store.collect(now=later()))[0] == [digest(IDLE)]
    assert store.resume("a", upload.uuid).finish(digest(b"claimed")).read() == b"claimed"


def test_what_is_no_blob_is_left(store: LayerService, raw: CheckedDriver) -> None:
    """Foreign keys among the blobs, blobs by other algorithms, and what else is in the trash."""
    keys = [
        f"{layout.BLOBS}/sha256/00/{'0' * 64}/data.tmp",
        f"{layout.BLOBS}/sha256/stray",
        f"{layout.BLOBS}/sha512/00/{'0' * 128}/data",
        f"{layout.TRASH}/stray",
        f"{layout.uploads('a')}/stray",
    ]
    for key in keys:
        raw.put(key, b"x")
    assert digests(store.collect(now=later())) == [[digest(IDLE)], [], []]
    assert [key for key in keys if raw.find(key) is None] == []


def test_a_dry_run_lists_what_a_run_deletes(store: LayerService, raw: CheckedDriver) -> None:
    """Blobs in the trash are listed, too, and nothing is changed."""
    raw.put(f"{layout.TRASH}/{digest(b'left')[7:]}/x", b"left")
    raw.put(f"{layout.TRASH}/{digest(USED)[7:]}/x", USED)
    now, before = later(), {key: raw.stat(key).version for key in keys_below(raw, "")}
    dry = store.collect(dry_run=True, now=now)
    assert {key: raw.stat(key).version for key in keys_below(raw, "")} == before
    assert (dry.dry_run, digests(dry)) == (True, [[digest(b"left"), digest(IDLE)], [digest(USED)], []])
    assert digests(store.collect(now=now)) == digests(dry)


@pytest.mark.parametrize("text", [b"", b"garbage", b"\xff", digest(b"else").encode(), b"blake3:" + b"0" * 64])
def test_a_link_that_cannot_be_understood_stops_all(store: LayerService, raw: CheckedDriver, text: bytes) -> None:
    """It may be the one that keeps a blob; the error names it, and nothing is deleted."""
    key = link("b", digest(IDLE))
    raw.put(key, text)
    with pytest.raises(MarkingIncompleteError) as caught:
        store.collect(now=later())
    assert caught.value.key == key
    assert (raw.find(blob(IDLE)) is None, trash(raw)) == (False, [])


FAILURES: dict[str, When] = {
    "listing repositories": of("list", layout.REPOSITORIES),
    "listing a repository": lambda _, call: (call.method, call.key) == ("list", f"{layout.REPOSITORIES}/a"),
    "listing uploads": of("list", "_uploads"),
    "listing links": of("list", "_layers/sha256"),
    "reading a link": of("open_reader", "link"),
}


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("when", FAILURES.values(), ids=FAILURES)
def test_a_mark_that_fails_stops_all(
    store: LayerService, raw: CheckedDriver, trap: Trap, when: When, turn: int
) -> None:
    """The first, second and third: nothing is deleted, and what was in the trash is back."""
    store.upload("a").close()
    seen: list[Call] = []

    def is_it(at: int, call: Call) -> bool:
        roots = sum(each.key == layout.REPOSITORIES for each in trap.calls)
        seen.extend([call] if when(at, call) and roots >= 2 * turn - 1 else [])
        return bool(seen)

    trap.set(is_it, fail)
    with pytest.raises(MarkingIncompleteError):
        store.collect(now=later())
    assert (raw.get(blob(IDLE), 1 << 20), trash(raw)) == (IDLE, [])


UUID = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"
PLACES = {
    "beside the repositories": layout.ROOT,
    "among the repositories": layout.REPOSITORIES,
    "in a repository": f"{layout.REPOSITORIES}/a",
    "among the algorithms": layout.layers("a"),
    "among the links": layout.links("a", "sha256"),
    "in the place of a link": link("a", digest(USED)).removesuffix("/link"),
    "among a registry's tags": f"{layout.REPOSITORIES}/a/_manifests/tags",
    "among the uploads": layout.uploads("a"),
    "in an upload": f"{layout.uploads('a')}/{UUID}",
    "among the intents": f"{layout.uploads('a')}/{UUID}/intent",
}


@pytest.fixture
def walked(store: LayerService, raw: CheckedDriver, strewn: Strewn) -> LayerService:
    """The store, to leave things in, with an upload and a registry's tag besides."""
    del store
    raw.put(f"{layout.uploads('a')}/{UUID}/intent/{'0' * 64}", b"")
    raw.put(f"{layout.REPOSITORIES}/a/_manifests/tags/latest/current/link", digest(USED).encode())
    return LayerService(strewn)


@pytest.mark.parametrize("prefix", PLACES.values(), ids=PLACES)
def test_what_is_not_understood_stops_all(
    walked: LayerService, raw: CheckedDriver, strewn: Strewn, prefix: str
) -> None:
    """Links may be behind it; the error says what it is and where, and nothing is deleted."""
    foreign = strewn.leave(prefix)
    with pytest.raises(MarkingIncompleteError) as caught:
        walked.collect(now=later())
    assert (caught.value.key, caught.value.detail) == (foreign.name, "not understood: a symlink")
    assert (raw.find(blob(IDLE)) is None, trash(raw)) == (False, [])


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("number", [2, 3])
def test_what_appears_between_the_marks_stops_all(
    walked: LayerService, raw: CheckedDriver, strewn: Strewn, trap: Trap, number: int, dry_run: bool
) -> None:
    """A repository that is moved to another disk meanwhile: every mark scans, and what was moved is put back."""
    trap.set(at_mark(trap, number), lambda: strewn.leave(layout.REPOSITORIES))
    with pytest.raises(MarkingIncompleteError):
        walked.collect(dry_run=dry_run, now=later())
    assert (raw.get(blob(IDLE), 1 << 20), trash(raw)) == (IDLE, [])


@pytest.mark.parametrize("name", [".DS_Store", "._a", "@eaDir/", "lost+found/", ".nfs0000000100000001", ".snapshot/"])
def test_what_is_harmless_stops_nothing(walked: LayerService, strewn: Strewn, name: str) -> None:
    """Desktops, NAS boxes and file systems leave it in every directory."""
    for prefix in PLACES.values():
        strewn.leave(prefix, name, "a file whose name is no key")
    assert digests(walked.collect(now=later()))[0] == [digest(IDLE)]


def test_what_is_not_understood_among_the_blobs_stops_nothing(walked: LayerService, strewn: Strewn) -> None:
    """No link is there; a collection leaves it alone, as it does what is in the trash and in quarantine."""
    strewn.leave(layout.ROOT, "blobs")
    strewn.leave(layout.ROOT, "blobs/sha256/my blob")
    for prefix in (layout.BLOBS, f"{layout.BLOBS}/sha256", layout.TRASH, layout.QUARANTINE):
        strewn.leave(prefix)
    assert digests(walked.collect(now=later()))[0] == [digest(IDLE)]


def test_whoever_knows_better_goes_on_without_it(walked: LayerService, raw: CheckedDriver, strewn: Strewn) -> None:
    """The report lists what was ignored, each once; a dry run, too."""
    left = [strewn.leave(prefix) for prefix in PLACES.values()]
    for dry_run in (True, False):
        report = walked.collect(dry_run=dry_run, now=later(), ignore_foreign=True)
        assert digests(report) == [[digest(IDLE)], [], []]
        assert report.ignored == {foreign.name: "a symlink" for foreign in left}
    assert raw.find(blob(IDLE)) is None


def test_what_is_damaged_is_not_ignored(walked: LayerService, raw: CheckedDriver) -> None:
    """To go on without what is not understood is not to go on without what is understood to be wrong."""
    raw.put(link("b", digest(IDLE)), b"damaged")
    with pytest.raises(MarkingIncompleteError):
        walked.collect(now=later(), ignore_foreign=True)


@pytest.mark.parametrize("place", ["_layers/sha256/{}/link", "_manifests/tags/latest/current/link"])
def test_a_directory_in_the_place_of_a_link_stops_all(store: LayerService, raw: CheckedDriver, place: str) -> None:
    """The link that should be there may keep a blob."""
    key = f"{layout.REPOSITORIES}/b/{place.format(digest(IDLE)[7:])}"
    raw.put(f"{key}/x", b"")
    with pytest.raises(MarkingIncompleteError) as caught:
        store.collect(now=later())
    assert (caught.value.key, caught.value.detail) == (f"{key}/", "not understood: a directory in the place of a link")


def test_what_is_called_link_is_no_link(store: LayerService, raw: CheckedDriver) -> None:
    """A repository may be, and a tag."""
    store_layer(store, "link", USED)
    tag = f"{layout.REPOSITORIES}/link/_manifests/tags/link"
    raw.put(f"{tag}/current/link", digest(USED).encode())
    raw.put(f"{tag}/index/sha256/{digest(USED)[7:]}/link", digest(USED).encode())
    assert digests(store.collect(now=later()))[0] == [digest(IDLE)]


def test_an_intent_that_is_a_directory_claims(store: LayerService, raw: CheckedDriver) -> None:
    """Its name alone claims the blob: nothing else is named by a blob's digest there."""
    raw.put(f"{layout.uploads('a')}/{UUID}/intent/{digest(IDLE)[7:]}/x", b"")
    assert digests(store.collect(now=later())) == [[], [], []]


def test_an_incomplete_dry_run_moves_nothing_back(store: LayerService, raw: CheckedDriver) -> None:
    """It changes nothing, whatever happens."""
    key = f"{layout.TRASH}/{digest(b'left')[7:]}/x"
    raw.put(key, b"left")
    raw.put(link("b", digest(IDLE)), b"damaged")
    with pytest.raises(MarkingIncompleteError):
        store.collect(dry_run=True, now=later())
    assert raw.get(key, 9) == b"left"


def test_what_cannot_be_put_back_stays_in_the_trash(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """For the next collection, which finds it there; the error is that of the mark."""
    key = f"{layout.TRASH}/{digest(b'left')[7:]}/x"
    raw.put(key, b"left")
    raw.put(link("b", digest(IDLE)), b"damaged")
    trap.set(of("open_reader", layout.TRASH), fail)
    with pytest.raises(MarkingIncompleteError):
        store.collect(now=later())
    assert raw.get(key, 9) == b"left"
    raw.delete(link("b", digest(IDLE)))
    assert digests(store.collect(now=later()))[0] == [digest(b"left"), digest(IDLE)]


def at_mark(trap: Trap, number: int) -> When:
    """Be true of the first call of a collection's first, second or third mark."""

    def is_it(_: int, call: Call) -> bool:
        lists = [each for each in trap.calls if each.method == "list" and each.key == layout.REPOSITORIES]
        return len(lists) == 2 * number - 1 and call.key == layout.REPOSITORIES

    return is_it


@pytest.mark.parametrize("number", [2, 3])
def test_a_blob_linked_meanwhile_is_kept(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, number: int
) -> None:
    """Before the second mark it stays where it is, before the third it is put back."""
    text = digest(IDLE).encode()
    trap.set(at_mark(trap, number), lambda: raw.put(link("b", digest(IDLE)), text))
    assert digests(store.collect(now=later())) == [[], [digest(IDLE)], []]
    assert other.fetch("b", digest(IDLE)).read() == IDLE
    assert trash(raw) == []


def test_a_blob_stored_anew_meanwhile_is_kept(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Between the mark and the move it has become another version, and so is not moved, not even to be put back."""
    raw.put(blob(IDLE), WRONG)
    trap.set(of("move"), lambda: store_layer(other, "b", IDLE))
    assert digests(store.collect(now=later())) == [[], [digest(IDLE)], []]
    assert [call.key for call in trap.calls if call.method == "move"] == [blob(IDLE)]
    assert other.fetch("b", digest(IDLE)).read() == IDLE


def test_a_blob_gone_meanwhile_is_kept(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """Somebody else has deleted it: nothing is there to be deleted."""
    trap.set(of("move"), lambda: raw.delete(blob(IDLE)))
    assert digests(store.collect(now=later())) == [[], [digest(IDLE)], []]
    trap.set(of("stat", blob(USED)), fail)
    assert digests(store.collect(now=later())) == [[], [], []]


def test_a_blob_that_vanishes_before_it_is_picked_is_nothing(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Listed and gone, it is not told of."""
    trap.set(of("stat", blob(IDLE)), lambda: raw.delete(blob(IDLE)))
    assert digests(store.collect(now=later())) == [[], [], []]


def test_a_damaged_blob_linked_meanwhile_goes_into_quarantine(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """A blob is read before it is put back: a damaged one never replaces a whole one that may be there by then."""
    raw.put(blob(IDLE), WRONG)
    trap.set(at_mark(trap, 3), lambda: raw.put(link("b", digest(IDLE)), digest(IDLE).encode()))
    assert digests(store.collect(now=later())) == [[], [digest(IDLE)], []]
    (key,) = trash(raw)
    assert (key.startswith(f"{layout.QUARANTINE}/"), raw.get(key, 1 << 20)) == (True, WRONG)
    assert raw.find(blob(IDLE)) is None


def test_a_blob_uploaded_while_another_is_in_the_trash_stays(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """The damaged one that was moved away is not put back over it."""
    raw.put(blob(IDLE), WRONG)
    trap.set(at_mark(trap, 3), lambda: store_layer(other, "b", IDLE))
    assert digests(store.collect(now=later())) == [[], [digest(IDLE)], []]
    assert (other.fetch("b", digest(IDLE)).read(), trash(raw)) == (IDLE, [])


def test_a_blob_that_has_come_back_is_durable_before_its_copy_goes(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """The process that stored it may have died before it was, and the copy in the trash may be the only durable one."""
    trap.set(at_mark(trap, 3), lambda: store_layer(other, "b", IDLE))
    assert digests(store.collect(now=later())) == [[], [digest(IDLE)], []]
    done = [call.method for call in trap.calls if call.key == blob(IDLE) or call.key.startswith(layout.TRASH)]
    assert done.index("publish") < done.index("delete")
    assert (other.fetch("b", digest(IDLE)).read(), trash(raw)) == (IDLE, [])


@pytest.mark.parametrize("linked", [False, True])
def test_what_a_collection_has_left_in_the_trash_is_ended(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, linked: bool
) -> None:
    """Cut off after the move, it is gone on with by the next: deleted, or put back if it is linked by now."""

    def die() -> None:
        raise KeyboardInterrupt

    trap.set(at_mark(trap, 3), die)
    with pytest.raises(KeyboardInterrupt):
        store.collect(now=later())
    assert (raw.find(blob(IDLE)), len(trash(raw))) == (None, 1)
    if linked:
        raw.put(link("b", digest(IDLE)), digest(IDLE).encode())
    assert digests(store.collect())[linked] == [digest(IDLE)]
    assert (other.exists("b", digest(IDLE)), trash(raw)) == (linked, [])


def test_what_another_collection_has_put_back_stays(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """Gone from the trash, there is nothing left to be put back."""
    raw.put(f"{layout.TRASH}/{digest(USED)[7:]}/x", USED)
    raw.delete(blob(USED))
    trap.set(of("open_reader", layout.TRASH), lambda: raw.move(f"{layout.TRASH}/{digest(USED)[7:]}/x", blob(USED)))
    assert digests(store.collect()) == [[], [digest(USED)], []]
    assert store.fetch("a", digest(USED)).read() == USED


@pytest.mark.parametrize("when", [of("move"), of("delete")], ids=["move", "delete"])
def test_what_fails_is_told_of_and_the_rest_goes_on(
    store: LayerService, raw: CheckedDriver, trap: Trap, when: When
) -> None:
    """One blob that cannot be deleted stops no other; the next collection deletes it."""
    raw.put(blob(b"orphan"), b"orphan")
    trap.set(when, fail)
    first = store.collect(now=later())
    assert isinstance(first.failed[0].error, BackendUnavailableError)
    both = {digest(IDLE), digest(b"orphan")}
    assert {str(each.digest) for each in [*first.removed, *first.failed]} == both
    assert digests(store.collect(now=later())) == [[str(first.failed[0].digest)], [], []]
    assert (trash(raw), raw.find(blob(IDLE)), raw.find(blob(b"orphan"))) == ([], None, None)


def test_a_move_whose_answer_was_lost_is_gone_on_with(store: LayerService, raw: CheckedDriver, url: str) -> None:
    """It is in the trash, and so looked after to its end."""
    trap = Trap("after")
    trap.set(of("move"), fail)
    lossy = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    assert digests(lossy.collect(now=later())) == [[digest(IDLE)], [], []]
    assert trash(raw) == []


@pytest.mark.parametrize("when", [of("move", layout.TRASH), of("delete", layout.DELETED)], ids=["take", "delete"])
def test_a_deletion_whose_answer_was_lost_is_done(
    raw: CheckedDriver, store: LayerService, url: str, when: When
) -> None:
    """It is reported by the collection that has done it, and by no other."""
    trap = Trap("after")
    trap.set(when, fail)
    lossy = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    assert digests(lossy.collect(now=later())) == [[digest(IDLE)], [], []]
    assert digests(store.collect(now=later())) == [[], [], []]
    assert trash(raw) == []


def test_a_deletion_that_can_not_even_be_undone_has_failed(store: LayerService, trap: Trap) -> None:
    """The delete fails, and so does the move back."""

    def fail_twice() -> None:
        trap.set(of("move", layout.DELETED), fail)
        fail()

    trap.set(of("delete", layout.DELETED), fail_twice)
    assert digests(store.collect(now=later())) == [[], [], [digest(IDLE)]]


def test_a_blob_that_can_not_be_taken_has_failed(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """It is in the trash, where the next collection finds it."""
    trap.set(of("move", layout.TRASH), fail)
    assert digests(store.collect(now=later())) == [[], [], [digest(IDLE)]]
    assert digests(store.collect(now=later())) == [[digest(IDLE)], [], []]
    assert trash(raw) == []


def test_a_move_of_which_nothing_is_known_has_failed(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """Neither move nor look answer: the blob is where it is, and the next collection finds it there."""

    def fail_twice() -> None:
        trap.set(of("stat", layout.TRASH), fail)
        fail()

    trap.set(of("move"), fail_twice)
    assert digests(store.collect(now=later())) == [[], [], [digest(IDLE)]]
    assert digests(store.collect(now=later())) == [[digest(IDLE)], [], []]


def finish(other: LayerService) -> None:
    """Upload the blob's bytes into another repository."""
    store_layer(other, "b", IDLE)


def mount(other: LayerService) -> None:
    """Link the blob elsewhere, and take the link away that was there."""
    with suppress(UnknownLayerError):
        other.mount("b", digest(IDLE), source="c")
    with suppress(LayerStoreError):
        other.unlink("c", digest(IDLE))


def several(raw: CheckedDriver) -> set[str]:
    """Store blobs that nothing links, beside the one that is there, and return their digests."""
    orphans = [Payload(f"orphan-{index}").read(100) for index in range(5)]
    for data in orphans:
        raw.put(blob(data), data)
    return {digest(data) for data in [IDLE, *orphans]}


def test_two_collections_at_once_tell_of_each_deletion_once(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """One in the middle of another, before each of its calls in turn: each blob is told of by one, and by one alone."""
    for index in range(1000):
        gone = several(raw)
        raw.put(blob(IDLE), IDLE)
        reports: list[CollectReport] = []

        def rival(reports: list[CollectReport] = reports) -> None:
            reports.append(other.collect(now=later()))

        trap.set(lambda at, _, index=index: at == index, rival)  # type: ignore[misc]  # for this turn
        reports.append(store.collect(now=later()))
        told = [str(each.digest) for report in reports for each in report.removed]
        assert sorted(told) == sorted(gone), f"a rival before {trap.calls[index - 1]}"
        assert (trash(raw), [report.failed for report in reports if report.failed]) == ([], [])
        if not trap.sprung:
            break
    assert 20 < index < 999, "the rival came, and came before every call"


def test_what_could_not_be_deleted_any_more_goes_with_what_comes_next(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Taken from the trash, and not to be brought back there, it is no blob any more; its room is given back."""

    def fail_twice() -> None:
        trap.set(of("move", layout.DELETED), fail)
        fail()

    trap.set(of("delete", layout.DELETED), fail_twice)
    assert digests(store.collect(now=later())) == [[], [], [digest(IDLE)]]
    assert (raw.find(blob(IDLE)), trash(raw)) == (None, [])


def test_what_a_killed_collection_has_not_deleted_goes_with_the_next(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """And that one tells of what it has deleted itself; a failure there stops nothing."""
    raw.put(layout.deleted(), b"taken")
    trap.set(lambda _, call: (call.method, call.key) == ("delete", layout.DELETED), fail)
    assert digests(store.collect(now=later())) == [[digest(IDLE)], [], []]
    assert (trap.sprung, len(trash(raw))) == (True, 1)
    raw.put(blob(IDLE), IDLE)
    assert digests(store.collect(now=later())) == [[digest(IDLE)], [], []]
    assert trash(raw) == []


def collect(other: LayerService) -> None:
    """Collect garbage, too."""
    other.collect(now=later())


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("rival", [finish, mount, collect])
def test_whoever_comes_between_no_layer_is_lost(
    store: LayerService,
    other: LayerService,
    raw: CheckedDriver,
    trap: Trap,
    rival: Callable[[LayerService], None],
    linked: bool,
) -> None:
    """A rival before every call of a collection in turn: whatever has a link when both are done is whole."""
    for index in range(1000):
        raw.put(blob(IDLE), IDLE)
        if linked:
            raw.put(link("c", digest(IDLE)), digest(IDLE).encode())
        trap.set(lambda at, _, index=index: at == index, lambda: rival(other))  # type: ignore[misc]  # for this turn
        store.collect(now=later())
        for name in ("a", "b", "c"):
            for wanted in (USED, IDLE):
                if raw.find(link(name, digest(wanted))) is not None:
                    assert other.fetch(name, digest(wanted)).read() == wanted, f"rival before {trap.calls[index]}"
        assert trash(raw) == []
        for name in ("b", "c"):
            raw.delete(f"{layout.REPOSITORIES}/{name}")
        if not trap.sprung:
            break
    assert 5 < index < 999, "the rival came, and came before every call"


class Hops:
    """An observer that mounts a layer elsewhere, and takes it away where it was, before each of two calls."""

    def __init__(self, other: LayerService, moments: tuple[int, int]) -> None:
        """Go from c to b, and from there to d."""
        self.other, self.moments, self.seen = other, moments, 0
        self.home = "c"

    def before(self, call: Call) -> None:
        """Go on, if it is time."""
        del call
        for source, target, moment in zip("cb", "bd", self.moments, strict=True):
            if self.seen == moment:
                with suppress(UnknownLayerError):
                    self.other.mount(target, digest(IDLE), source=source)
                    self.other.unlink(source, digest(IDLE))
                    self.home = target
        self.seen += 1

    def after(self, call: Call, result: object) -> None:
        """Do nothing."""


def test_a_layer_that_goes_from_one_repository_to_another_twice_is_not_lost(
    store: LayerService, other: LayerService, raw: CheckedDriver, url: str
) -> None:
    """It may move on before any two calls, so that any one mark misses it: it is where it was mounted last."""
    del store
    homes = set()
    for first, last in itertools.combinations(range(40), 2):
        raw.put(blob(IDLE), IDLE)
        raw.put(link("c", digest(IDLE)), digest(IDLE).encode())
        hops = Hops(other, (first, last))
        LayerService(CheckedDriver(ObservedDriver(open_driver(url), hops))).collect(now=later())
        assert other.fetch(hops.home, digest(IDLE)).read() == IDLE, f"moved on before calls {first} and {last}"
        for name in "bcd":
            raw.delete(f"{layout.REPOSITORIES}/{name}")
        homes.add(hops.home)
    assert homes == set("bcd"), "it moved on, twice and once, and where there were fewer calls not at all"


@pytest.mark.parametrize("known", [False, True], ids=["small", "flushed"])
def test_a_collection_before_every_call_of_a_finish_disturbs_none(
    store: LayerService, other: LayerService, trap: Trap, known: bool
) -> None:
    """With any part of it stored, of any age, the finish comes to its end."""
    for index in range(1000):
        data = Payload(f"finish-{index}").read(500)
        upload = store.upload("b")
        upload.write(data)
        if known:
            upload.flush()
        trap.set(lambda at, _, index=index: at == index, lambda: collect(other))  # type: ignore[misc]  # for this turn
        assert upload.finish(digest(data)).read() == data
        if not trap.sprung:
            break
    assert (7 if known else 3) <= index < 999, "the rival came, and came before every call"


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("old", [False, True], ids=["no blob", "an old blob"])
@pytest.mark.parametrize("size", [500, 3 << 20], ids=["small", "large"])
def test_a_straight_upload_is_a_layer_or_unknown_whenever_all_is_collected(
    url: str, other: LayerService, raw: CheckedDriver, size: int, old: bool, side: Side
) -> None:
    """A collection without any grace may take what was moved and is not linked yet: then the finish says so."""
    data, trap, lost = Payload("straight").read(size), Trap(side), 0
    store = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    for index in range(1000):
        raw.delete(layout.ROOT)
        if old:
            raw.put(blob(data), data)
        upload = store.upload("b")
        trap.set(lambda at, _, index=index: at == index, lambda: collect(other))  # type: ignore[misc]  # for this turn
        upload.write(data)
        try:
            assert upload.finish(digest(data)).read() == data
        except UnknownUploadError:
            lost += 1
            assert upload.closed
        else:
            assert other.fetch("b", digest(data)).read() == data
        if not trap.sprung:
            break
    assert index >= 3
    assert lost <= (size > 500), "only between the move and the link"


def test_the_digest_of_a_key_outside_is_none() -> None:
    """Only where blobs lie, or the trash, does a key name one."""
    from layerstore.contents import walk

    assert walk.blob_of("short") is None
    assert walk.blob_of(f"elsewhere/{digest(IDLE)[7:]}/data") is None
    assert walk.blob_of(blob(IDLE)) == Digest.parse(digest(IDLE))

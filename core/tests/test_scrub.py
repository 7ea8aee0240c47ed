"""Scrubbing: what is stored is what its name says, or it is told of; and nothing that was healed is taken away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    Digest,
    DriverError,
    FencedError,
    Finding,
    Foreign,
    InvalidDigestError,
    InvalidNameError,
    LayerService,
    PathNotFoundError,
    Reader,
    Scanned,
    ScrubReport,
    UnknownLayerError,
    Unpublished,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.upkeep.scrub import _Scrub
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import blob, link
from layerstore_conformance.kit.layers import store as store_layer
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver, PassingReader
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, When, fail, of

if TYPE_CHECKING:
    from tests.conftest import Strewn

DATA = [Payload(f"scrub-{index}").read(2_000_000 if index == 0 else 700 + index) for index in range(5)]
WRONG = bytes(700)
UUID = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it, with five layers of repository a."""
    service = LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))
    for data in DATA:
        store_layer(service, "a", data)
    return service


def digests(*data: bytes) -> list[str]:
    """Return the digests of some layers, in order."""
    return sorted(digest(each) for each in data)


def kinds(found: Iterator[Finding]) -> list[tuple[str, str]]:
    """Return kind and key of all that is not in order."""
    return [(finding.kind, finding.key) for finding in found if finding.kind != "ok"]


def following(trap: Trap, method: str, key: str) -> When:
    """Be true of every call after a method's on a key."""
    return lambda _, call: any((each.method, each.key) == (method, key) for each in trap.calls)


def test_a_store_in_order_is_reported_blob_by_blob(store: LayerService) -> None:
    """Each blob once, in ascending order, with its size; added up, their number and bytes."""
    report = store.scrub()
    found = list(report)
    assert [str(finding.digest) for finding in found] == digests(*DATA)
    assert (report.ok, report.ok_bytes) == (5, sum(map(len, DATA)))
    assert (report.findings, report.harm, f"sha256:{report.last}") == ([], [], digests(*DATA)[-1])


def test_an_empty_store_is_in_order(url: str) -> None:
    """Nothing there is nothing found."""
    assert list(layerstore.open(url).scrub()) == []


@pytest.mark.parametrize("wrong", [WRONG, b"", DATA[1][:-1], DATA[1][:-1] + b"x"], ids=len)
def test_a_damaged_blob_is_told_of(store: LayerService, raw: CheckedDriver, wrong: bytes) -> None:
    """For any size, the finding has the wanted digest, the actual one, and the size. The blob stays there."""
    raw.put(blob(DATA[1]), wrong)
    (finding,) = [finding for finding in store.scrub() if finding.kind != "ok"]
    assert (finding.kind, str(finding.digest), str(finding.actual)) == ("damaged", digest(DATA[1]), digest(wrong))
    assert (finding.size, finding.harmful, finding.quarantined) == (len(wrong), True, "")
    assert raw.get(blob(DATA[1]), 1 << 20) == wrong


def test_a_damaged_blob_goes_into_quarantine(store: LayerService, raw: CheckedDriver) -> None:
    """Fetching it is then refused, its bytes are kept where no registry looks, and uploading it again heals."""
    raw.put(blob(DATA[1]), WRONG)
    (finding,) = [finding for finding in store.scrub(quarantine=True) if finding.kind != "ok"]
    assert finding.quarantined.startswith(f"layerstore/quarantine/sha256/{digest(DATA[1])[7:]}/")
    assert raw.get(finding.quarantined, 1 << 20) == WRONG
    with pytest.raises(UnknownLayerError):
        store.fetch("a", digest(DATA[1]))
    store_layer(store, "b", DATA[1])
    assert store.fetch("a", digest(DATA[1])).read() == DATA[1]
    assert kinds(store.scrub(quarantine=True)) == []


@pytest.mark.parametrize("quarantine", [False, True])
def test_a_blob_healed_while_it_is_read_is_in_order(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, quarantine: bool
) -> None:
    """A rival uploads it again before each call of the scrub in turn: either way it is whole afterwards."""
    for index in range(1000):
        raw.put(blob(DATA[1]), WRONG)
        trap.set(lambda at, _, index=index: at == index, lambda: store_layer(other, "b", DATA[1]))  # type: ignore[misc]
        kinds(store.scrub(quarantine=quarantine))
        if not trap.sprung:
            break
        assert other.fetch("b", digest(DATA[1])).read() == DATA[1]
    assert 5 < index < 999, "the rival came, and came before every call"


@pytest.mark.parametrize("method", ["move", "stat"])
def test_a_blob_replaced_after_it_was_read_is_read_again(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, method: str
) -> None:
    """If the bytes that were read are gone when they would be reported as damaged, they are not reported."""
    raw.put(blob(DATA[1]), WRONG)
    after = following(trap, "read_at", blob(DATA[1]))
    trap.set(lambda at, call: call.method == method and after(at, call), lambda: store_layer(other, "b", DATA[1]))
    found = list(store.scrub(quarantine=method == "move"))
    assert [(str(finding.digest), finding.kind) for finding in found] == [(each, "ok") for each in digests(*DATA)]
    assert trap.sprung


class Fragile(PassingDriver):
    """Cannot go on reading what was replaced, as clause R4 allows; or what it cannot read at all."""

    broken = ""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Read what is there now."""
        return FragileReader(self, self.inner.open_reader(key, offset))


class FragileReader(PassingReader):
    """Reads as long as nothing changes."""

    def __init__(self, driver: Fragile, inner: Reader) -> None:
        super().__init__(inner)
        self.driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read, if the object is still the same."""
        if self.key == self.driver.broken or self.driver.stat(self.key).version != self.version:
            raise BackendUnavailableError(self.key, "torn off")
        return super().read_at(offset, buffer)


def test_a_version_that_cannot_be_read_on_is_given_up(
    store: LayerService, other: LayerService, raw: CheckedDriver, url: str
) -> None:
    """Replaced between two reads of it, a blob is read again from its beginning."""
    trap = Trap()
    fragile = LayerService(CheckedDriver(ObservedDriver(Fragile(open_driver(url)), trap)))
    trap.set(
        lambda _, call: call.method == "read_at" and call.key == blob(DATA[0]), lambda: store_layer(other, "b", DATA[0])
    )
    assert kinds(fragile.scrub()) == []
    assert trap.sprung


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_blob_that_cannot_be_read_stops_no_other(store: LayerService, url: str, jobs: int) -> None:
    """It is told of with the error, in its place among the others."""
    driver = Fragile(open_driver(url))
    driver.broken = blob(DATA[1])
    found = list(LayerService(driver).scrub(jobs=jobs))
    assert [str(finding.digest) for finding in found] == digests(*DATA)
    (finding,) = [finding for finding in found if finding.kind != "ok"]
    assert (finding.kind, finding.key, finding.harmful) == ("unreadable", blob(DATA[1]), True)
    assert "torn off" in finding.detail


def test_a_link_without_a_blob_is_told_of(store: LayerService, raw: CheckedDriver) -> None:
    """Once for each link that leads there, and with the digest."""
    store.mount("b", digest(DATA[1]), source="a")
    raw.delete(blob(DATA[1]))
    found = [finding for finding in store.scrub() if finding.kind != "ok"]
    assert [(each.kind, each.key, str(each.digest)) for each in found] == [
        ("missing", link(name, digest(DATA[1])), digest(DATA[1])) for name in ("a", "b")
    ]


def test_a_link_of_another_algorithm_without_a_blob_is_told_of(store: LayerService, raw: CheckedDriver) -> None:
    """It leads to the blob by its sha256."""
    key = f"{layout.links('a', 'sha512')}/{'0' * 128}/link"
    raw.put(key, digest(b"nothing").encode())
    assert kinds(store.scrub()) == [("missing", key)]


def test_a_link_that_goes_meanwhile_is_not_told_of(store: LayerService, other: LayerService, trap: Trap) -> None:
    """Unlinked, and its blob deleted, after links were looked at: there is nothing amiss."""

    def act() -> None:
        other.unlink("a", digest(DATA[1]))
        other.driver.delete(blob(DATA[1]))

    trap.set(of("stat", blob(DATA[1])), act)
    assert kinds(store.scrub()) == []


def test_a_blob_that_goes_while_it_is_looked_at_is_missing(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """It was there when asked for, and not when opened; its link still leads to it."""
    trap.set(of("open_reader", blob(DATA[1])), lambda: raw.delete(blob(DATA[1])))
    assert kinds(store.scrub()) == [("missing", link("a", digest(DATA[1])))]


def test_a_blob_that_comes_meanwhile_is_not_missing(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Uploaded again after it was looked for, it is there."""
    raw.delete(blob(DATA[1]))
    key = link("a", digest(DATA[1]))
    after = following(trap, "stat", blob(DATA[1]))
    trap.set(lambda at, call: call.key == key and after(at, call), lambda: store_layer(other, "a", DATA[1]))
    assert kinds(store.scrub()) == []
    assert trap.sprung


@pytest.mark.parametrize("text", [b"", b"garbage", b"\xff", digest(b"else").encode(), b"blake3:" + b"0" * 64])
def test_a_damaged_link_is_told_of(store: LayerService, raw: CheckedDriver, text: bytes) -> None:
    """A link that says nothing, or not what its name says, is harm; its blob is then without a link."""
    key = link("a", digest(DATA[1]))
    raw.put(key, text)
    assert kinds(store.scrub()) == [("damaged-link", key), ("unlinked", blob(DATA[1]))]


def test_links_to_blobs_that_are_not_kept_here_are_no_harm(store: LayerService, raw: CheckedDriver) -> None:
    """A registry that keeps sha512 blobs has links to them, and blobs that are told of once."""
    raw.put(f"{layout.links('a', 'sha512')}/{'0' * 128}/link", b"sha512:" + b"0" * 128)
    raw.put(f"{layout.BLOBS}/sha512/00/{'0' * 128}/data", b"x")
    assert kinds(store.scrub()) == [("foreign", f"{layout.BLOBS}/sha512/")]


def test_a_blob_without_a_link_is_told_of(store: LayerService) -> None:
    """Unlinked everywhere, it lies about without harm, and is read all the same."""
    store.unlink("a", digest(DATA[1]))
    found = [finding for finding in store.scrub() if finding.key == blob(DATA[1])]
    assert [(finding.kind, finding.size, finding.harmful) for finding in found] == [
        ("ok", len(DATA[1]), False),
        ("unlinked", len(DATA[1]), False),
    ]


def test_a_blob_stored_meanwhile_is_not_without_a_link(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """Its link may have come after the links were looked at."""
    trap.set(of("list", f"{layout.BLOBS}/sha256"), lambda: raw.put(blob(b"meanwhile"), b"meanwhile"))
    found = list(store.scrub())
    assert [finding.kind for finding in found] == ["ok"] * 6


def test_a_registrys_manifests_are_links(store: LayerService, raw: CheckedDriver) -> None:
    """A blob that only a manifest's revision links, or a tag, is not without a link."""
    manifests = f"{layout.REPOSITORIES}/a/_manifests"
    store.unlink("a", digest(DATA[1]))
    store.unlink("a", digest(DATA[2]))
    raw.put(f"{manifests}/revisions/sha256/{digest(DATA[1])[7:]}/link", digest(DATA[1]).encode())
    raw.put(f"{manifests}/tags/latest/current/link", digest(DATA[2]).encode())
    assert kinds(store.scrub()) == []


def test_a_blob_that_a_finish_has_claimed_is_not_without_a_link(store: LayerService, trap: Trap) -> None:
    """Cut off before its link, a finish may still be gone on with."""
    upload = store.upload("a")
    upload.write(b"claimed")
    upload.flush()
    trap.set(of("put", "/link"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(b"claimed"))
    assert kinds(store.scrub()) == []


def test_foreign_keys_and_leftovers_are_told_of(store: LayerService, raw: CheckedDriver) -> None:
    """Among blobs, links and uploads, and in the trash; none is harm, none stops the scrub, none is changed."""
    keys = [
        f"{layout.layers('a')}/sha256/stray.tmp",
        f"{layout.uploads('a')}/{UUID}/",
        f"{layout.uploads('a')}/not-a-uuid/",
        f"{layout.uploads('a')}/stray",
        f"{layout.TRASH}/{'0' * 64}/x",
        f"{layout.BLOBS}/sha256/00/{'0' * 64}/data.tmp",
        f"{layout.BLOBS}/sha256/stray",
    ]
    for key in keys:
        raw.put(f"{key}x" if key.endswith("/") else key, b"x")
    found = [finding for finding in store.scrub() if finding.kind != "ok"]
    assert [finding.key for finding in found] == keys
    assert [finding.kind for finding in found] == [
        "foreign",
        "leftover",
        "foreign",
        "foreign",
        "leftover",
        "foreign",
        "foreign",
    ]
    assert not any(finding.harmful for finding in found)


PLACES = {
    "beside the repositories": layout.ROOT,
    "among the repositories": layout.REPOSITORIES,
    "in a repository": f"{layout.REPOSITORIES}/a",
    "among the links": layout.links("a", "sha256"),
    "in the place of a link": link("a", digest(DATA[1])).removesuffix("/link"),
    "among the uploads": layout.uploads("a"),
    "in an upload": f"{layout.uploads('a')}/{UUID}",
    "among the intents": f"{layout.uploads('a')}/{UUID}/intent",
    "beside the blobs": layout.BLOBS,
    "among the blobs": f"{layout.BLOBS}/sha256",
    "in the place of a blob": blob(DATA[1]).removesuffix("/data"),
    "in the trash": f"{layout.TRASH}/{'0' * 64}",
    "in quarantine": layout.QUARANTINE,
}
AMONG_BLOBS = 8
"""Places from here on say nothing about what is linked."""


@pytest.fixture
def walked(store: LayerService, raw: CheckedDriver, strewn: Strewn) -> LayerService:
    """The store, to leave things in, with an upload, something in the trash and a blob without a link."""
    store.unlink("a", digest(DATA[2]))
    for key in ("startedat", f"intent/{'0' * 64}"):
        raw.put(f"{layout.uploads('a')}/{UUID}/{key}", b"")
    for key in (f"{layout.TRASH}/{'0' * 64}/x", f"{layout.QUARANTINE}/{'0' * 64}/x"):
        raw.put(key, b"")
    return LayerService(strewn)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_understood_is_harm(walked: LayerService, strewn: Strewn, place: str, jobs: int) -> None:
    """Wherever it lies it is told of once; and where it may hide links, no blob is said to be without one."""
    foreign = strewn.leave(PLACES[place])
    found = list(walked.scrub(jobs=jobs))
    harm = [(each.kind, each.key, each.detail) for each in found if each.harmful]
    assert harm == [("unreadable", foreign.name, "not understood: a symlink")]
    unlinked = [each.key for each in found if each.kind == "unlinked"]
    hides_links = list(PLACES).index(place) < AMONG_BLOBS
    assert unlinked == ([] if hides_links else [blob(DATA[2])])
    assert sum(each.kind == "ok" for each in found) == len(DATA)


def test_what_is_in_the_way_of_all_is_told_of_once(walked: LayerService, strewn: Strewn) -> None:
    """A symlink above everything is met at every turn."""
    for prefix in PLACES.values():
        strewn.things.append((prefix, Foreign("docker", "a symlink")))
    assert [each.key for each in walked.scrub() if each.harmful] == ["docker"]


def test_a_thing_in_the_place_of_a_blob_is_told_of_once(
    walked: LayerService, raw: CheckedDriver, strewn: Strewn
) -> None:
    """The blob is linked, and is not reported as missing, too."""
    for data in DATA:
        raw.delete(blob(data))
    strewn.things.append((f"{layout.BLOBS}/sha256", Foreign(blob(DATA[0]), "a symlink")))
    harm = [each.key for each in walked.scrub() if each.harmful]
    assert harm.count(blob(DATA[0])) == 1
    assert link("a", digest(DATA[0])) not in harm


def test_a_directory_in_the_place_of_a_link_is_harm(store: LayerService, raw: CheckedDriver) -> None:
    """Its content is no link."""
    key = link("b", digest(DATA[1]))
    raw.put(f"{key}/x", b"")
    (finding,) = (each for each in store.scrub() if each.kind != "ok")
    assert (finding.kind, finding.key) == ("unreadable", f"{key}/")
    assert finding.detail == "not understood: a directory in the place of a link"


def test_what_is_harmless_is_not_told_of(walked: LayerService, strewn: Strewn) -> None:
    """Desktops and NAS boxes leave it everywhere."""
    for prefix in PLACES.values():
        strewn.leave(prefix, ".DS_Store")
    assert {each.kind for each in walked.scrub()} == {"ok", "unlinked", "leftover"}


class Taken(PassingDriver):
    """A driver that tells of a start that a writer has taken."""

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and tell."""
        yield from self.inner.scan(prefix)
        keys = layout.UploadKeys("a", UUID)
        if prefix == keys.prefix:
            yield Unpublished(keys.started_at, datetime.now(UTC))


def test_a_start_that_was_never_published_is_none(raw: CheckedDriver) -> None:
    """What a writer has taken, and published nothing, makes no upload: the rest is a leftover."""
    keys = layout.UploadKeys("a", UUID)
    raw.put(keys.data, b"x")
    found = kinds(LayerService(CheckedDriver(Taken(raw))).scrub())
    assert found == [("leftover", f"{keys.prefix}/")]


def test_an_upload_under_way_is_no_leftover(store: LayerService) -> None:
    """It has a start."""
    store.upload("a").close()
    assert kinds(store.scrub()) == []


@pytest.mark.parametrize("prefix", [f"{layout.REPOSITORIES}/a", layout.layers("a"), layout.uploads("a")])
def test_a_repository_that_cannot_be_listed_is_told_of(store: LayerService, trap: Trap, prefix: str) -> None:
    """The blobs are read all the same; whether any is without a link nobody can tell then."""
    store.upload("a").close()
    trap.set(lambda _, call: (call.method, call.key) == ("list", prefix), fail)
    found = list(store.scrub())
    assert [(each.kind, each.key) for each in found if each.kind != "ok"] == [("unreadable", prefix)]
    assert len(found) == 6


def test_a_link_that_cannot_be_read_is_told_of(store: LayerService, trap: Trap) -> None:
    """And stops nothing."""
    key = link("a", digest(DATA[1]))
    trap.set(of("open_reader", key), fail)
    assert kinds(store.scrub()) == [("unreadable", key)]


def test_a_store_that_is_not_there_is_an_error(store: LayerService, trap: Trap) -> None:
    """A scrub of nothing at all would be mistaken for a sound store."""
    trap.set(of("list", layout.REPOSITORIES), fail)
    with pytest.raises(BackendUnavailableError):
        next(store.scrub())


def test_one_repository_is_scrubbed(store: LayerService, raw: CheckedDriver) -> None:
    """With a name, the blobs that it links are read, and nothing else."""
    store_layer(store, "b", b"of b")
    store_layer(store, "b/c", b"of c")
    raw.put(blob(DATA[1]), WRONG)
    assert [str(finding.digest) for finding in store.scrub(name="b")] == [digest(b"of b")]
    with pytest.raises(InvalidNameError):
        list(store.scrub(name="B"))


def test_blobs_stored_before_are_not_read(store: LayerService, raw: CheckedDriver) -> None:
    """With a moment, only what was stored since then is read; links are checked all the same."""
    raw.put(blob(DATA[1]), WRONG)
    raw.delete(blob(DATA[2]))
    later = datetime.now(UTC) + timedelta(seconds=1)
    assert [finding.kind for finding in store.scrub(since=later)] == ["missing"]
    since = raw.stat(blob(DATA[1])).modified
    assert ("damaged", blob(DATA[1])) in kinds(store.scrub(since=since))
    with pytest.raises(ValueError, match="aware"):
        store.scrub(since=datetime(2026, 1, 1))  # noqa: DTZ001  (that it is refused is the point)


@pytest.mark.parametrize("at", range(6))
def test_a_scrub_goes_on_where_another_was_cut_off(store: LayerService, raw: CheckedDriver, at: int) -> None:
    """After the last blob that was told of: those behind it, each once, and no more of what is not a blob's."""
    raw.put(f"{layout.uploads('a')}/stray", b"x")
    whole = [finding for finding in store.scrub() if finding.kind == "ok"]
    after = whole[at - 1].digest if at else Digest("sha256", "0" * 64)
    assert after is not None
    assert list(store.scrub(after=after.hex)) == whole[at:]


def test_after_is_a_sha256(store: LayerService) -> None:
    """Anything else would be gone on from nowhere."""
    with pytest.raises(InvalidDigestError):
        store.scrub(after="xyz")


@pytest.mark.parametrize("jobs", [2, 7])
def test_several_jobs_find_the_same(store: LayerService, raw: CheckedDriver, jobs: int) -> None:
    """In the same order."""
    raw.put(blob(DATA[3]), WRONG)
    assert list(store.scrub(jobs=jobs)) == list(store.scrub())


def test_no_jobs_make_no_sense(store: LayerService) -> None:
    """Nothing would be read."""
    with pytest.raises(ValueError, match="at least 1"):
        store.scrub(jobs=0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_scrub_given_up_ends_its_threads(store: LayerService, jobs: int) -> None:
    """Blobs whose reading has begun are not read to their end."""
    before = threading.active_count()
    found = store.scrub(jobs=jobs)
    next(found)
    found.close()
    assert threading.active_count() == before


def test_a_finding_is_in_the_totals_once_the_next_one_is_asked_for(store: LayerService) -> None:
    """Cut off in between, a reader that goes on after the last one gets it again, and misses none."""
    report = store.scrub()
    first, second = next(report), next(report)
    assert (report.ok, report.ok_bytes, report.last) == (1, first.size, first.digest.hex if first.digest else "")
    assert next(store.scrub(after=report.last)) == second


def test_totals_can_be_added_up_by_hand() -> None:
    """A report of no scrub makes no findings, and takes those that it is given."""
    report = ScrubReport(last="f")
    report.add(Finding("damaged", "key"))
    assert (list(report), [each.key for each in report.harm], report.last) == ([], ["key"], "f")


def test_a_blob_is_not_read_on_once_a_scrub_is_given_up(store: LayerService) -> None:
    """A large one would keep whoever has interrupted it waiting."""
    read: list[int] = []
    work = _Scrub(store.driver, None, read.append, quarantine=False)
    work.stop.set()
    with pytest.raises(CancelledError):
        work.look(blob(DATA[0]))
    assert read == [1 << 20]


def test_progress_is_told_of_every_byte(store: LayerService) -> None:
    """Added up, it is what was read; no step is larger than a block."""
    steps: list[int] = []
    list(store.scrub(progress=steps.append))
    assert (sum(steps), max(steps)) == (sum(map(len, DATA)), 1 << 20)


@pytest.mark.parametrize("kind", [BackendUnavailableError, FencedError, PathNotFoundError])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_progress_is_none_of_the_store(store: LayerService, kind: type[DriverError], jobs: int) -> None:
    """It may come from another store, which is told of the progress: no blob of this one is unreadable or missing."""

    def progress(count: int) -> None:
        raise kind("elsewhere") from OSError(count)

    with pytest.raises(kind, match="elsewhere") as raised:
        list(store.scrub(progress=progress, jobs=jobs))
    assert isinstance(raised.value.__cause__, OSError)


def test_scrubbing_changes_nothing(store: LayerService, raw: CheckedDriver) -> None:
    """Without quarantine, every key is as it was."""
    raw.put(blob(DATA[1]), WRONG)
    before = {key: raw.stat(key).version for key in keys_below(raw, "")}
    list(store.scrub(jobs=2))
    assert {key: raw.stat(key).version for key in keys_below(raw, "")} == before

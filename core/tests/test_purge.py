"""Purging: what is abandoned goes, what is alive stays, and whatever else lies there is told of and left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import layerstore
from layerstore import (
    BackendUnavailableError,
    FencedError,
    InvalidNameError,
    LayerClosedError,
    LayerService,
    PurgeReport,
    UnknownUploadError,
    layout,
    open_driver,
)
from layerstore.checked import CheckedDriver
from layerstore.layout import UploadKeys
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.steps.watching import Trap, When, fail, of

if TYPE_CHECKING:
    from tests.conftest import Strewn

DATA = Payload("purge").read(3000)
WEEK = timedelta(days=7)
UUID = f"{'0' * 8}-0000-0000-0000-{'0' * 12}"
EMPTY = layerstore.Digest.of(b"")
LONG_AGO = b"2001-02-03T04:05:06Z"


def later(age: timedelta = WEEK) -> datetime:
    """Return a moment at which what is stored now is of an age, and a second older."""
    return datetime.now(UTC) + age + timedelta(seconds=1)


@pytest.fixture
def store(url: str, trap: Trap) -> LayerService:
    """Open the store with the trap in it."""
    return LayerService(CheckedDriver(ObservedDriver(open_driver(url), trap)))


def begin(store: LayerService, name: str = "a", data: bytes = DATA) -> str:
    """Begin an upload, and return its id."""
    with store.upload(name) as upload:
        upload.write(data)
    return upload.uuid


def begin_without_data(raw: CheckedDriver) -> str:
    """Begin an upload as a registry does that has stored no byte of it yet, and return its id."""
    raw.put(UploadKeys("a", UUID).started_at, LONG_AGO)
    return UUID


def uuids(report: PurgeReport) -> list[list[str]]:
    """Return the ids of what was removed, kept, skipped and failed."""
    return [[each.uuid for each in part] for part in (report.removed, report.kept, report.skipped, report.failed)]


def left(raw: CheckedDriver, uuid: str, name: str = "a") -> list[str]:
    """Return the keys of an upload."""
    return list(keys_below(raw, UploadKeys(name, uuid).prefix))


def test_an_abandoned_upload_is_removed(store: LayerService, raw: CheckedDriver) -> None:
    """Of one old enough nothing stays; the report names repository, id, offset and age."""
    uuid, now = begin(store, "a/b"), later()
    (entry,) = store.purge(WEEK, now=now).removed
    assert (entry.name, entry.uuid, entry.offset, entry.error, entry.reason) == ("a/b", uuid, len(DATA), None, "")
    assert entry.age is not None
    assert WEEK <= entry.age < WEEK + timedelta(minutes=1)
    assert left(raw, uuid, "a/b") == []
    with pytest.raises(UnknownUploadError):
        store.resume("a/b", uuid)


def test_a_younger_upload_is_kept(store: LayerService, raw: CheckedDriver) -> None:
    """Less than the age asked for, by the real clock, it stays as it is, and open."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    before = left(raw, upload.uuid)
    assert uuids(store.purge(WEEK)) == [[], [upload.uuid], [], []]
    assert left(raw, upload.uuid) == before
    assert upload.finish(digest(DATA)).size == len(DATA)


def test_an_upload_of_exactly_the_age_is_removed(store: LayerService, raw: CheckedDriver) -> None:
    """The limit is inclusive, to the microsecond."""
    uuid = begin(store)
    newest = max(raw.stat(key).modified for key in left(raw, uuid))
    assert uuids(store.purge(WEEK, now=newest + WEEK - timedelta(microseconds=1)))[0] == []
    assert uuids(store.purge(WEEK, now=newest + WEEK))[0] == [uuid]


def test_the_last_write_counts(store: LayerService, raw: CheckedDriver) -> None:
    """Begun long ago and written to just now, an upload is young."""
    uuid = begin(store)
    raw.put(UploadKeys("a", uuid).started_at, LONG_AGO)
    assert uuids(store.purge(WEEK)) == [[], [uuid], [], []]


def test_the_start_counts(store: LayerService, raw: CheckedDriver) -> None:
    """Begun later than anything of it is dated, an upload is as young as its start says."""
    uuid, now = begin(store), later()
    raw.put(UploadKeys("a", uuid).started_at, now.isoformat().encode())
    assert uuids(store.purge(WEEK, now=now)) == [[], [uuid], [], []]


@pytest.mark.parametrize("text", [b"", b"garbage", b"\xff", b"0001-01-01T00:00:00+23:59"])
def test_an_unreadable_start_does_not_count(store: LayerService, raw: CheckedDriver, text: bytes) -> None:
    """The age is then that of the newest key."""
    uuid = begin(store)
    raw.put(UploadKeys("a", uuid).started_at, text)
    assert uuids(store.purge(WEEK)) == [[], [uuid], [], []]
    assert uuids(store.purge(WEEK, now=later())) == [[uuid], [], [], []]


def test_an_upload_without_a_byte_is_removed(store: LayerService, raw: CheckedDriver) -> None:
    """It goes too, and whoever has it open is told."""
    upload = store.resume("a", begin_without_data(raw))
    upload.write(DATA)
    assert uuids(store.purge(WEEK, now=later()))[0] == [upload.uuid]
    with pytest.raises(UnknownUploadError):
        upload.flush()
    assert left(raw, upload.uuid) == []


@pytest.mark.parametrize("action", ["flush", "close", "finish"])
def test_who_has_a_purged_upload_open_is_told(store: LayerService, raw: CheckedDriver, action: str) -> None:
    """The handle says that the upload is gone, and leaves nothing behind."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    store.purge(WEEK, now=later())
    with pytest.raises(UnknownUploadError):
        upload.finish(digest(DATA)) if action == "finish" else getattr(upload, action)()
    assert left(raw, upload.uuid) == []


def test_leftovers_are_removed_at_the_same_age(store: LayerService, raw: CheckedDriver) -> None:
    """Data without a start is no upload. It is removed when it is old, and not before."""
    raw.put(f"{UploadKeys('a', UUID).prefix}/hashstates/sha256/0", b"x")
    assert uuids(store.purge(WEEK)) == [[], [UUID], [], []]
    assert uuids(store.purge(WEEK, now=later())) == [[UUID], [], [], []]
    assert left(raw, UUID) == []


def test_who_becomes_known_while_its_bytes_are_taken_for_a_leftover_is_told(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Published before others knew of it, an upload that is flushed after the purge has looked twice is fenced."""
    writer = raw.open_writer(UploadKeys("a", UUID).data)
    writer.write(DATA)
    writer.flush()
    refused: list[bool] = []

    def become_known() -> None:
        raw.put(UploadKeys("a", UUID).started_at, LONG_AGO)
        with pytest.raises(FencedError):
            writer.flush()
        refused.append(True)

    trap.set(of("delete"), become_known)
    assert uuids(store.purge(WEEK, now=later()))[0] == [UUID]
    assert (refused, left(raw, UUID)) == ([True], [])


@pytest.mark.parametrize("path", ["not-a-uuid/startedat", "stray.tmp", UUID, f"{UUID.upper()[:-1]}A/data"])
def test_what_is_no_upload_is_told_of_and_left(store: LayerService, raw: CheckedDriver, path: str) -> None:
    """Foreign keys, and prefixes that are no UUID, stop nothing and are never deleted."""
    uuid, key = begin(store), f"{layout.uploads('a')}/{path}"
    raw.put(key, b"x")
    report = store.purge(WEEK, now=later())
    assert uuids(report) == [[uuid], [], [path.partition("/")[0]], []]
    assert report.skipped[0].reason == "not an upload"
    assert raw.find(key) is not None


def test_what_is_no_repository_is_told_of_and_left(store: LayerService, raw: CheckedDriver) -> None:
    """Uploads below what is no repository's name are nobody's."""
    key = f"{layout.REPOSITORIES}/UPPER/_uploads/{UUID}/startedat"
    raw.put(key, LONG_AGO)
    (entry,) = store.purge(WEEK, now=later()).skipped
    assert (entry.name, entry.uuid, entry.reason) == ("UPPER", "", "not below a repository")
    assert raw.find(key) is not None


class Odd(PassingDriver):
    """Lists names that are no keys, as a backend does that others write to."""

    def list(self, prefix: str) -> Iterator[str]:
        """Add a file and a directory with a blank."""
        yield from self.inner.list(prefix)
        yield f"{prefix}/x y"
        yield f"{prefix}/z z/"


def test_names_that_are_no_keys_are_left(url: str, store: LayerService, raw: CheckedDriver) -> None:
    """An upload that holds what no driver can be asked for is skipped, whole."""
    uuid = begin(store)
    report = LayerService(Odd(open_driver(url))).purge(WEEK, name="a", now=later())
    assert uuids(report) == [[], [], ["", "", f"{uuid}/x y", "x y", "z z/"], []]
    assert {each.reason for each in report.skipped} == {"not understood: a name that is no key"}
    assert UploadKeys("a", uuid).data in left(raw, uuid)


PLACES = {
    layout.REPOSITORIES: ("thing", ""),
    f"{layout.REPOSITORIES}/a": ("a/thing", ""),
    layout.uploads("a"): ("a", "thing"),
}


@pytest.mark.parametrize("prefix", PLACES)
def test_what_is_not_understood_is_skipped(store: LayerService, strewn: Strewn, prefix: str) -> None:
    """It is told of with what it is; the uploads beside it are purged all the same."""
    uuid = begin(store)
    strewn.leave(prefix)
    report = LayerService(strewn).purge(WEEK, now=later())
    assert uuids(report) == [[uuid], [], [PLACES[prefix][1]], []]
    (entry,) = report.skipped
    assert (entry.name, entry.reason, entry.age) == (PLACES[prefix][0], "not understood: a symlink", None)


@pytest.mark.parametrize("name", ["_layers", "_layers/sha256/x", "_manifests"])
def test_what_is_not_understood_where_no_uploads_are_is_not_told_of(
    store: LayerService, strewn: Strewn, name: str
) -> None:
    """It is not a purge's affair."""
    uuid = begin(store)
    strewn.leave(f"{layout.REPOSITORIES}/a", name)
    assert uuids(LayerService(strewn).purge(WEEK, now=later())) == [[uuid], [], [], []]


def test_an_upload_that_holds_what_is_not_understood_is_left_whole(
    store: LayerService, raw: CheckedDriver, strewn: Strewn
) -> None:
    """Its data may be a symlink to another disk; the others go."""
    uuid, other = begin(store), begin(store)
    strewn.leave(UploadKeys("a", uuid).prefix, "data")
    kept = left(raw, uuid)
    assert uuids(LayerService(strewn).purge(WEEK, now=later())) == [[other], [], [f"{uuid}/data"], []]
    assert left(raw, uuid) == kept


def test_what_comes_into_an_upload_while_it_is_looked_at_keeps_it(
    store: LayerService, raw: CheckedDriver, strewn: Strewn, trap: Trap
) -> None:
    """The second look sees it."""
    uuid = begin(store)
    trap.set(of("open_writer"), lambda: strewn.leave(UploadKeys("a", uuid).prefix))
    assert uuids(LayerService(strewn).purge(WEEK, now=later())) == [[], [], [f"{uuid}/thing"], []]
    assert UploadKeys("a", uuid).data in left(raw, uuid)


def test_one_repository_is_purged(store: LayerService) -> None:
    """With a name, no other is touched, nor one below it."""
    uuid = begin(store)
    for name in ("a/b", "c"):
        begin(store, name)
    assert uuids(store.purge(WEEK, name="a", now=later())) == [[uuid], [], [], []]
    assert [info.name for info in store.uploads()] == ["a/b", "c"]
    with pytest.raises(InvalidNameError):
        store.purge(WEEK, name="A")


def test_a_negative_age_makes_no_sense(store: LayerService) -> None:
    """It would remove what is yet to come."""
    with pytest.raises(ValueError, match="not negative"):
        store.purge(-WEEK)


def test_a_dry_run_lists_what_a_run_removes(store: LayerService, raw: CheckedDriver) -> None:
    """At the same moment, to the letter; and changes nothing."""
    for name in ("a", "b"):
        begin(store, name)
    raw.put(UploadKeys("c", UUID).data, b"x")
    now, before = later(), {key: raw.stat(key).version for key in keys_below(raw, "")}
    dry = store.purge(WEEK, dry_run=True, now=now)
    assert {key: raw.stat(key).version for key in keys_below(raw, "")} == before
    assert (dry.dry_run, dry.removed) == (True, store.purge(WEEK, now=now).removed)
    assert list(keys_below(raw, "")) == []


def test_a_dry_run_fences_nobody(store: LayerService) -> None:
    """A client that is uploading does not notice."""
    upload = store.upload("a")
    upload.flush()
    upload.write(DATA)
    assert uuids(store.purge(WEEK, dry_run=True, now=later()))[0] == [upload.uuid]
    assert upload.finish(digest(DATA)).size == len(DATA)


FAILURES: dict[str, When] = {
    "looking": of("list", UUID),
    "taking over": of("open_writer", UUID),
    "condemning": of("move", UUID),
    "removing": of("delete", UUID),
}


@pytest.mark.parametrize("when", FAILURES.values(), ids=FAILURES)
def test_what_fails_is_told_of_and_the_rest_goes_on(
    store: LayerService, raw: CheckedDriver, trap: Trap, when: When
) -> None:
    """One that cannot be removed stops no other; the next purge removes it."""
    keys, uuid, now = UploadKeys("a", UUID), begin(store), later()
    raw.put(keys.started_at, LONG_AGO)
    raw.put(keys.data, b"xyz")
    trap.set(when, fail)
    report = store.purge(WEEK, now=now)
    assert uuids(report) == [[uuid], [], [], [UUID]]
    assert isinstance(report.failed[0].error, BackendUnavailableError)
    assert uuids(store.purge(WEEK, now=now)) == [[UUID], [], [], []]
    assert left(raw, UUID) == []


@pytest.mark.parametrize("prefix", [f"{layout.REPOSITORIES}/a", layout.uploads("a")])
def test_a_repository_that_cannot_be_listed_stops_no_other(store: LayerService, trap: Trap, prefix: str) -> None:
    """Its failure is told of, without an id."""
    begin(store)
    uuid = begin(store, "b")
    trap.set(lambda _, call: (call.method, call.key) == ("list", prefix), fail)
    report = store.purge(WEEK, now=later())
    assert uuids(report) == [[uuid], [], [], [""]]
    assert report.failed[0].name == "a"


def test_a_store_that_is_not_there_is_an_error(store: LayerService, trap: Trap) -> None:
    """A purge of nothing at all would be mistaken for a clean store."""
    trap.set(of("list"), fail)
    with pytest.raises(BackendUnavailableError):
        store.purge(WEEK)


def test_an_upload_that_vanishes_is_not_told_of(store: LayerService, other: LayerService, trap: Trap) -> None:
    """Cancelled between its being listed and looked at, there is nothing to tell."""
    uuid = begin(store)
    trap.set(of("list", uuid), lambda: other.cancel("a", uuid))
    assert uuids(store.purge(WEEK, now=later())) == [[], [], [], []]


def test_a_start_that_vanishes_is_no_error(store: LayerService, other: LayerService, trap: Trap) -> None:
    """Cancelled while it is looked at, an upload is let go of as what it is by then."""
    uuid = begin(store)
    trap.set(
        lambda _, call: (call.method, call.key[-9:]) == ("open_reader", "startedat"), lambda: other.cancel("a", uuid)
    )
    assert uuids(store.purge(WEEK, now=later()))[2:] == [[uuid], []]


def second(when: When) -> When:
    """Be true of the second call that another is true of."""
    seen = 0

    def is_it(at: int, call: Call) -> bool:
        nonlocal seen
        seen += when(at, call)
        return seen == 2 and when(at, call)

    return is_it


MOMENTS: dict[str, Callable[[], When]] = {
    "during the first look": lambda: of("stat", "startedat"),
    "before it is taken over": lambda: of("open_writer"),
    "before the second look": lambda: second(of("list", "_uploads/")),
    "before it is held": lambda: of("publish"),
    "before it is condemned": lambda: of("move"),
}


@pytest.mark.parametrize("when", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("data", [DATA, b""], ids=["data", "none"])
def test_an_upload_that_comes_alive_is_let_go(
    store: LayerService,
    other: LayerService,
    raw: CheckedDriver,
    trap: Trap,
    when: Callable[[], When],
    data: bytes,
) -> None:
    """Resumed and written to before it is condemned, it is not removed, and has what was written."""
    uuid = begin(store) if data else begin_without_data(raw)

    def write() -> None:
        with other.resume("a", uuid) as upload:
            upload.write(b"alive")

    trap.set(when(), write)
    report = store.purge(WEEK, now=later())
    assert uuids(report) == [[], [], [uuid], []]
    assert report.skipped[0].reason.startswith("in use")
    assert other.resume("a", uuid).finish(digest(data + b"alive")).size == len(data) + 5


def test_a_handle_that_writes_in_time_is_only_fenced(store: LayerService, other: LayerService, trap: Trap) -> None:
    """A handle on an upload that a purge leaves alone gets FencedError, and the upload can be resumed."""
    upload = other.upload("a")
    upload.write(DATA)
    upload.flush()

    def write() -> None:
        upload.write(b"alive")
        upload.flush()

    trap.set(of("open_writer"), write)
    assert uuids(store.purge(WEEK, now=later()))[2] == [upload.uuid]
    with pytest.raises(FencedError):
        upload.flush()
    assert other.resume("a", upload.uuid).tell() == len(DATA) + 5


def test_who_resumes_and_stores_nothing_is_told_that_it_is_gone(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Between holding and condemning: nothing was promised, so nothing is lost, and nothing stays."""
    uuid, resumed = begin(store), []
    trap.set(of("move"), lambda: resumed.append(other.resume("a", uuid)))
    assert uuids(store.purge(WEEK, now=later()))[0] == [uuid]
    resumed[0].write(b"too late")
    with pytest.raises(UnknownUploadError):
        resumed[0].close()
    assert left(raw, uuid) == []


@pytest.mark.parametrize("refused", [False, True])
def test_a_condemned_upload_is_not_begun_anew(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap, refused: bool
) -> None:
    """Once its data is taken, the upload is unknown, though a refused finish has named a blob that exists."""
    uuid = begin(store)
    if refused:
        store.upload("a").finish(EMPTY)
        raw.put(UploadKeys("a", uuid).intent(EMPTY), str(EMPTY).encode())

    def resume() -> None:
        with pytest.raises(UnknownUploadError):
            other.resume("a", uuid)
        with pytest.raises(UnknownUploadError):
            other.status("a", uuid)

    trap.set(of("delete"), resume)
    assert uuids(store.purge(WEEK, now=later()))[0] == [uuid]
    assert trap.sprung


def test_a_finish_beaten_to_its_data_is_told_that_it_is_fenced(
    store: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Condemned just before a finish moves it, and not removed yet: an error of uploads, and no missing key."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    keys = UploadKeys("a", upload.uuid)
    trap.set(of("move"), lambda: raw.move(keys.data, keys.purged))
    with pytest.raises(FencedError, match="the data is gone"):
        upload.finish(digest(DATA))
    upload.cancel()
    assert uuids(store.purge(WEEK))[0] == [upload.uuid]


def test_a_purge_that_was_cut_off_is_completed_at_any_age(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """An upload that an earlier purge has condemned is removed by the next, and so a dry run says."""
    uuid = begin(store)
    trap.set(of("delete"), fail)
    assert uuids(store.purge(WEEK, now=later()))[3] == [uuid]
    assert list(store.uploads()) == []
    assert uuids(store.purge(WEEK, dry_run=True))[0] == [uuid]
    assert uuids(store.purge(WEEK))[0] == [uuid]
    assert left(raw, uuid) == []


def moved(store: LayerService, trap: Trap) -> str:
    """Cut a finish off before its link, and return the upload's id."""
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    trap.set(of("put", "/link"), fail)
    with pytest.raises(BackendUnavailableError):
        upload.finish(digest(DATA))
    return upload.uuid


def test_a_finish_cut_off_is_purged_and_its_blob_stays(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """Its data is a blob of the store by then; what remains of the upload goes at its age."""
    uuid = moved(store, trap)
    assert uuids(store.purge(WEEK)) == [[], [uuid], [], []]
    (entry,) = store.purge(WEEK, now=later()).removed
    assert (entry.uuid, entry.offset) == (uuid, len(DATA))
    assert left(raw, uuid) == []
    assert raw.find(layout.blob(layerstore.Digest.parse(digest(DATA)))) is not None


def test_a_finish_cut_off_is_never_written_to_again(
    store: LayerService, other: LayerService, raw: CheckedDriver, trap: Trap
) -> None:
    """Resumed before any call of the purge in turn, it can be finished only, or is gone: no data is made anew."""
    for index in range(1000):
        uuid = moved(store, trap)

        def write(uuid: str = uuid) -> None:
            with pytest.raises((LayerClosedError, UnknownUploadError)):
                other.resume("a", uuid).write(b"anew")

        trap.set(lambda at, _, index=index: at == index, write)  # type: ignore[misc]  # bound for this turn
        store.purge(WEEK, now=later())
        assert left(raw, uuid) == []
        if not trap.sprung:
            break
    assert 5 < index < 999, "somebody came, and came before every call"


def test_a_finish_whose_blob_is_gone_is_purged(store: LayerService, raw: CheckedDriver, trap: Trap) -> None:
    """There is neither data nor blob, and what is left of it goes."""
    uuid = moved(store, trap)
    raw.delete(layout.BLOBS)
    assert [(each.uuid, each.offset) for each in store.purge(WEEK, now=later()).removed] == [(uuid, 0)]
    assert left(raw, uuid) == []


RIVALS: dict[str, Callable[[LayerService, str], object]] = {
    "finish": lambda other, uuid: other.resume("a", uuid).finish(digest(DATA)),
    "cancel": lambda other, uuid: other.cancel("a", uuid),
    "purge": lambda other, uuid: other.purge(WEEK, now=later()),
}


@pytest.mark.parametrize("rival", RIVALS.values(), ids=RIVALS)
def test_whoever_comes_between_nothing_is_left_and_no_layer_lost(
    store: LayerService,
    other: LayerService,
    raw: CheckedDriver,
    trap: Trap,
    rival: Callable[[LayerService, str], object],
) -> None:
    """A rival before every call of a purge in turn: the upload ends, and what was finished is a layer."""
    for index in range(1000):
        uuid = begin(store)
        done: list[object] = []

        def act(uuid: str = uuid, done: list[object] = done) -> None:
            with suppress(UnknownUploadError):
                done.append(rival(other, uuid))

        trap.set(lambda at, _, index=index: at == index, act)  # type: ignore[misc]  # bound for this turn
        report = store.purge(WEEK, now=later())
        assert (left(raw, uuid), report.failed) == ([], [])
        if rival is RIVALS["finish"]:
            assert other.exists("a", digest(DATA)) == bool(done)
        raw.delete(layout.ROOT)
        if not trap.sprung:
            break
    assert 5 < index < 999, "somebody came, and came before every call"

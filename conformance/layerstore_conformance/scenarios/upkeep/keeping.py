"""The operator's tools: purge, scrub and collect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    Digest,
    FencedError,
    MarkingIncompleteError,
    UnknownLayerError,
    UnknownUploadError,
    layout,
)
from layerstore.layout import UploadKeys
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import SMALL, WEEK, later, newest, old
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_stored
from layerstore_conformance.steps.watching import Trap, fail, of, watched

if TYPE_CHECKING:
    from layerstore import Finding, LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"


@scenario("D1", "S1", "L4", kills=("purge-removes-nothing", "dry-run-deletes"), rows=(152,))
def a_purge_removes_what_is_old_and_nothing_else(ctx: Context) -> None:
    """A purge removes old uploads and leftovers, and leaves younger ones, layers and keys that are no uploads.

    A dry run at the same moment lists the same uploads, and changes nothing.
    """
    service, driver, data = ctx.service(), ctx.open(), ctx.payload("purge").read(SMALL)
    gone = [begin(service, "a", data), begin(service, "b/c", b""), "0" * 8 + "-0000-0000-0000-" + "0" * 12]
    driver.put(UploadKeys("a", gone[2]).data, b"left by a cancel")
    store(service, "a", data)
    now = later()
    young = begin(service, "a", data)
    driver.put(UploadKeys("a", young).started_at, now.isoformat().encode("ascii"))
    driver.put(f"{layout.uploads('a')}/not-an-upload/data", data)
    driver.put(f"{layout.uploads('a')}/stray.tmp", data)
    before = {key: driver.stat(key).version for key in ctx.stored()}
    dry = ctx.service().purge(WEEK, dry_run=True, now=now)
    assert before == {key: driver.stat(key).version for key in ctx.stored()}, "a dry run has changed something"
    report = ctx.service().purge(WEEK, now=now)
    assert report.removed == dry.removed, f"a dry run listed {dry.removed}, and {report.removed} were removed"
    assert sorted(each.uuid for each in report.removed) == sorted(gone)
    assert sorted(each.uuid for each in report.skipped) == ["not-an-upload", "stray.tmp"], report.skipped
    kept = [key for key in before if not any(uuid in key for uuid in gone)]
    assert ctx.stored() == kept, "the report does not match the removed keys"
    expect_layer(ctx, "a", data)


@scenario("S1", "W6", kills=("purge-by-start-time",), rows=(152,))
def a_purge_goes_by_the_last_write(ctx: Context) -> None:
    """The age of an upload is the time since its last write, however long ago it was begun.

    A registry that goes by the start alone deletes the upload of a slow client.
    """
    uuid = old(ctx, "a", ctx.payload("slow").read(SMALL))
    moment = newest(ctx, uuid)
    assert ctx.service().purge(WEEK, now=moment + timedelta(days=1)).removed == []
    expect_stored(ctx, "a", uuid, ctx.payload("slow").read(SMALL))
    assert [each.uuid for each in ctx.service().purge(WEEK, now=moment + WEEK).removed] == [uuid]
    expect_gone(ctx, "a", uuid)


@scenario("S1", kills=("purge-needs-a-start",), rows=(152,))
def an_upload_with_an_unreadable_start_is_purged_by_its_last_write(ctx: Context) -> None:
    """If an upload's start time is unreadable, its age is that of its newest key."""
    for text in (b"", b"garbage", b"\xff\xfe", b"0001-01-01T00:00:00+23:59"):
        uuid = begin(ctx.service(), "a", b"damaged")
        ctx.open().put(UploadKeys("a", uuid).started_at, text)
        moment = newest(ctx, uuid)
        assert ctx.service().purge(WEEK, now=moment + timedelta(days=6)).removed == []
        assert [each.uuid for each in ctx.service().purge(WEEK, now=moment + WEEK).removed] == [uuid]
        expect_gone(ctx, "a", uuid)


@scenario("E1", "E4", kills=("purge-stops-at-the-first-error",), rows=(152,))
def a_purge_that_fails_at_one_upload_removes_the_others(ctx: Context) -> None:
    """If any call fails for one upload, a purge reports it and removes the others; the next purge removes it."""
    for when in (of("list", "_uploads/"), of("stat", "_uploads/"), of("open_writer"), of("move"), of("delete")):
        trap = Trap()
        uuids = {begin(ctx.service(), name, b"failing") for name in ("a", "b")}
        service, now = watched(ctx, trap), later()
        trap.set(when, fail)
        report = service.purge(WEEK, now=now)
        failed = {each.uuid for each in report.failed}
        assert len(failed) == 1, f"{trap.calls[-1].method} failed, reported were {report.failed}"
        assert {each.uuid for each in report.removed} == uuids - failed, "one that failed has stopped another"
        assert {each.uuid for each in service.purge(WEEK, now=now).removed} == failed
        assert ctx.stored() == []


@scenario("F1", "F3", kills=("purge-does-not-fence",), rows=(152,))
def who_has_a_purged_upload_open_is_told(ctx: Context) -> None:
    """After a purge, the flush, close and finish of an open handle raise UnknownUploadError, and leave nothing."""
    acts: tuple[Callable[[LayerUpload], object], ...] = (
        lambda upload: upload.flush(),
        lambda upload: upload.close(),
        lambda upload: upload.finish(digest(b"open")),
    )
    for act in acts:
        upload = ctx.service().upload("a")
        upload.write(b"open")
        upload.flush()
        trap = Trap()
        trap.set(of("delete"), lambda upload=upload: fenced(upload))  # type: ignore[misc]  # bound for this turn
        assert len(watched(ctx, trap).purge(WEEK, now=later()).removed) == 1
        with refused(UnknownUploadError):
            act(upload)
        expect_gone(ctx, "a", upload.uuid)


def fenced(upload: LayerUpload) -> None:
    """Check that another handle has already taken an upload over."""
    with refused(FencedError):
        upload.flush()


@scenario("K3", "L1", kills=("areas-below-a-repository-are-its-own", "purge-of-one-purges-all"), rows=(152,))
def a_purge_of_one_repository_leaves_its_neighbours(ctx: Context) -> None:
    """A purge of a repository removes its uploads, and none of those whose names begin alike."""
    uuids = {name: begin(ctx.service(), name, b"begun") for name in ("a", "a/b", "ab", "b/a")}
    report = ctx.service().purge(WEEK, name="a", now=later())
    assert [each.uuid for each in report.removed] == [uuids.pop("a")], f"removed {report.removed}"
    for name, uuid in uuids.items():
        expect_stored(ctx, name, uuid, b"begun")


@scenario("D4", "M1", kills=("a-purge-cut-off-waits-a-week",), rows=(152, 171))
def a_purge_that_was_cut_off_is_completed_at_any_age(ctx: Context) -> None:
    """An upload that a purge has begun to remove is removed by the next purge, however young it is by then."""
    uuid, trap = begin(ctx.service(), "a", b"condemned"), Trap()
    service = watched(ctx, trap)
    trap.set(of("delete"), fail)
    assert [each.uuid for each in service.purge(WEEK, now=later()).failed] == [uuid]
    young = begin(ctx.service(), "a", b"young")
    report = ctx.service().purge(WEEK)
    assert [each.uuid for each in report.removed] == [uuid], f"removed {report.removed}, kept {report.kept}"
    assert [each.uuid for each in report.kept] == [young]
    expect_gone(ctx, "a", uuid)


@scenario("R1", "S1", kills=("scrub-believes-the-size", "scrub-reads-nothing"))
def a_scrub_tells_of_every_damaged_blob(ctx: Context) -> None:
    """A scrub reads every blob, and reports those that are cut, empty, longer or of other bytes, and no others."""
    data = [ctx.payload(f"scrub-{index}").read(SMALL + index) for index in range(5)]
    for each in data:
        store(ctx.service(), "a", each)
    wrong = [data[0][:-1], b"", data[2] + b"x", bytes(len(data[3]))]
    for good, bad in zip(data, wrong, strict=False):
        ctx.open().put(blob(good), bad)
    found = list(ctx.service().scrub(jobs=2))
    assert [str(each.digest) for each in found] == sorted(map(digest, data)), "not each blob once, in order"
    told = {(str(each.digest), str(each.actual)) for each in found if each.kind == "damaged"}
    assert told == {(digest(good), digest(bad)) for good, bad in zip(data, wrong, strict=False)}
    assert [str(each.digest) for each in found if each.kind == "ok"] == [digest(data[4])]


@scenario("M1", "M4", kills=("quarantine-keeps-serving", "scrub-reads-nothing"))
def a_damaged_layer_in_quarantine_is_unknown_until_it_is_uploaded_again(ctx: Context) -> None:
    """A damaged layer in quarantine is unknown, its bytes are kept, and an upload heals it."""
    data = ctx.payload("damaged").read(SMALL)
    store(ctx.service(), "a", data)
    ctx.open().put(blob(data), bytes(SMALL))
    (finding,) = ctx.service().scrub(quarantine=True)
    with refused(UnknownLayerError):
        ctx.service().fetch("a", digest(data))
    ctx.expect(finding.quarantined, bytes(SMALL))
    store(ctx.service(), "a", data)
    expect_layer(ctx, "a", data)


@scenario("L1", "L4", kills=("scrub-misses-dangling-links",))
def a_scrub_tells_of_what_does_not_belong_together(ctx: Context) -> None:
    """A scrub reports and leaves links without a blob, damaged links, unlinked blobs, foreign keys and leftovers."""
    service, driver = ctx.service(), ctx.open()
    data = {name: ctx.payload(name).read(SMALL) for name in ("whole", "dangling", "broken", "alone")}
    for each in data.values():
        store(service, "a", each)
    driver.delete(blob(data["dangling"]))
    driver.put(link("a", digest(data["broken"])), b"broken")
    service.unlink("a", digest(data["alone"]))
    driver.put(f"{layout.uploads('a')}/foreign", b"")
    driver.put(f"{layout.uploads('a')}/{'0' * 8}-0000-0000-0000-{'0' * 12}/data", b"")
    before = ctx.stored()
    found = {(each.kind, each.key) for each in ctx.service().scrub() if each.kind != "ok"}
    assert ctx.stored() == before, "a scrub has changed something"
    assert found == {
        ("missing", link("a", digest(data["dangling"]))),
        ("damaged-link", link("a", digest(data["broken"]))),
        *(("unlinked", blob(data[name])) for name in ("broken", "alone")),
        ("foreign", f"{layout.uploads('a')}/foreign"),
        ("leftover", f"{layout.uploads('a')}/{'0' * 8}-0000-0000-0000-{'0' * 12}/"),
    }


@scenario("L2", kills=("scrub-begins-anew", "scrub-passes-over-a-folder"))
def a_scrub_that_was_cut_off_is_gone_on_with(ctx: Context) -> None:
    """A scrub that begins after any blob reads the ones behind it, each once; also where nothing links to them."""
    for index in range(4):
        store(ctx.service(), "a", ctx.payload(f"resumed-{index}").read(SMALL))
    for beside in "0123":  # their names begin alike
        ctx.driver.put(layout.blob(Digest("sha256", "ab" + beside * 62)), b"damaged")
    whole: list[Finding] = list(ctx.service().scrub())
    for after in {each.digest.hex for each in whole if each.digest}:
        behind = [each for each in whole if each.digest and each.digest.hex > after]
        assert list(ctx.service().scrub(after=after)) == behind, f"after {after}"


@scenario("D1", "S1", kills=("gc-sweeps-what-is-young", "dry-run-deletes"))
def a_collection_deletes_what_nothing_uses(ctx: Context) -> None:
    """A collection deletes an unlinked blob if it was stored before the mark began, and not if it was stored later.

    A dry run at the same moment lists the same blobs, and changes nothing.
    """
    service, data = ctx.service(), [ctx.payload(name).read(SMALL) for name in ("used", "idle")]
    for each in data:
        store(service, "a", each)
    service.unlink("a", digest(data[1]))
    moment = ctx.open().stat(blob(data[1])).modified
    young = ctx.service().collect(now=moment, grace=timedelta(0))
    assert young.removed == [], "a blob was deleted that was stored since the mark began"
    before, now = ctx.stored(), moment + timedelta(seconds=1)
    dry = ctx.service().collect(dry_run=True, now=now, grace=timedelta(0))
    assert ctx.stored() == before, "a dry run has deleted something"
    report = ctx.service().collect(now=now, grace=timedelta(0))
    assert [str(each.digest) for each in report.removed] == [digest(data[1])]
    assert dry.removed == report.removed
    assert ctx.stored() == [blob(data[0]), link("a", digest(data[0]))]


@scenario("L3", "E1", kills=("gc-goes-on-after-incomplete-marking",))
def a_collection_that_cannot_see_everything_deletes_nothing(ctx: Context) -> None:
    """A link that it cannot read, or a listing or read that fails, ends a collection; nothing is deleted.

    The link that cannot be read may be the only one that keeps a layer.
    """
    data, driver = ctx.payload("doubtful").read(SMALL), ctx.open()
    driver.put(blob(data), data)
    store(ctx.service(), "a", b"another")
    driver.put(link("b", digest(data)), b"damaged")
    with refused(MarkingIncompleteError):
        ctx.service().collect(now=later())
    ctx.expect(blob(data), data)
    driver.delete(link("b", digest(data)))
    driver.put(f"{layout.REPOSITORIES}/b/_layers/sha512/{'0' * 128}/link", digest(data).encode("ascii"))
    before = ctx.stored()
    for when in (of("list", "/repositories"), of("list", "/b/_layers"), of("open_reader", "/b/_layers")):
        trap = Trap()
        service = watched(ctx, trap)
        trap.set(when, fail)
        with refused(MarkingIncompleteError):
            service.collect(now=later())
        assert ctx.stored() == before, "a collection that could not see everything has deleted something"


@scenario("L1", kills=("gc-knows-no-manifests",))
def a_collection_keeps_what_a_registry_uses(ctx: Context) -> None:
    """In a store shared with a registry, a collection keeps a blob that only a manifest's revision or a tag links."""
    data = [ctx.payload(name).read(SMALL) for name in ("revision", "tag")]
    manifests = f"{layout.REPOSITORIES}/a/_manifests"
    keys = [f"{manifests}/revisions/sha256/{digest(data[0])[7:]}/link", f"{manifests}/tags/latest/current/link"]
    for key, each in zip(keys, data, strict=True):
        ctx.open().put(blob(each), each)
        ctx.open().put(key, digest(each).encode("ascii"))
    assert ctx.service().collect(now=later()).removed == []
    for each in data:
        ctx.expect(blob(each), each)


@scenario("M1", kills=("gc-ignores-intents",))
def a_collection_keeps_what_a_finish_has_claimed(ctx: Context) -> None:
    """A collection keeps the blob of a finish that was cut off before its link was made; the finish can go on."""
    data, trap = ctx.payload("claimed").read(SMALL), Trap()
    upload = watched(ctx, trap).upload("a")
    upload.write(data)
    upload.flush()
    trap.set(of("put", "/link"), fail)
    with refused(BackendUnavailableError):
        upload.finish(digest(data))
    assert ctx.service().collect(now=later()).removed == []
    ctx.service().resume("a", upload.uuid).finish(digest(data)).close()
    expect_layer(ctx, "a", data)

"""Whole reports of purges, scrubs and collections, each of a store that has one of everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from layerstore import Digest, DriverError, Finding, layout
from layerstore.contents.repository import Unlinked
from layerstore.layout import UploadKeys
from layerstore.upkeep.collect import Collected
from layerstore.upkeep.purge import NO_UPLOAD, PurgeEntry
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import begin, blob, link
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.aged_store import AgedStore
from layerstore_conformance.steps.ages import LONG_AGO, SMALL, WEEK, later
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.watching import fail, watched

if TYPE_CHECKING:
    from layerstore.upkeep.report import Report
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call

GROUP = "upkeep"

OLD = timedelta(hours=30)
"""More than any grace, and less than it by more than clocks differ."""


PARTS = ("removed", "kept", "failed", "skipped")
"""The lists of a report."""


def _collected(*those: bytes) -> list[Collected]:
    return [Collected(Digest.of(data), len(data)) for data in those]


def _sorted(report: Report[Any]) -> Report[Any]:
    """Return a report with its lists in order."""
    lists = {part: each for part in PARTS if isinstance(each := getattr(report, part, None), list)}
    changed: Any = {part: sorted(each, key=str) for part, each in lists.items()}
    return replace(report, **changed)


@scenario(
    *("S1", "L1", "M1"),
    kills=(
        "young-are-all-that-are-young",
        "young-are-not-counted",
        "collected-without-a-size",
        "dry-run-puts-back",
        "gc-ignores-intents",
    ),
    rows=(119,),
)
def a_collection_reports_every_blob_as_it_is(ctx: Context) -> None:
    """The report of a collection has each unused blob once, with its digest and size, and says how many are in use.

    A dry run reports the same, and changes nothing. Operators decide by it.
    """
    store = AgedStore(ctx)
    linked, claimed, idle, gone, moving = (
        store.blob(label, OLD) for label in ("linked", "claimed", "idle", "gone", "moving")
    )
    young, fresh, back, left = store.blob("young"), store.blob("fresh"), store.new("back"), store.new("left")
    links = [store.link("a", data) for data in (linked, fresh, back, moving)]
    dropped = store.link("b/c", gone, age=OLD)
    for each in (back, left):
        store.trash(each, OLD)
    store.claim(claimed)
    others = [store.trash(moving), *keys_below(store.driver, layout.uploads("a"))]
    before = store.versions(ctx)
    dry = store.service.collect(dry_run=True, unreferenced=True)
    assert store.versions(ctx) == before, "a dry run has changed something"
    report = store.service.collect(unreferenced=True)
    removed, kept = _collected(idle, gone, left), _collected(back)
    assert _sorted(report) == _sorted(replace(report, removed=removed, kept=kept, failed=[])), f"reported: {report}"
    assert (report.in_use, report.young, report.ignored) == (5, 1, {}), f"reported: {report}"
    assert report.dropped.removed == [Unlinked("b/c", "layer", Digest.of(gone), dropped)], f"reported: {report}"
    assert (report.dropped.kept, report.dropped.failed, report.dropped.skipped) == ([], [], {}), f"reported: {report}"
    told = replace(dry, dry_run=False, dropped=replace(dry.dropped, dry_run=False))
    assert (_sorted(told), dry.dry_run) == (_sorted(report), True), f"a dry run reported {dry}, a run {report}"
    there = {*links, *others, *map(blob, (linked, claimed, young, fresh, back, moving))}
    assert set(ctx.stored()) == there, "what is there is not what was reported"


class _Refusing:
    """An observer that lets calls fail: of these methods, on keys with these parts."""

    def __init__(self, *those: tuple[str, str]) -> None:
        self.failures = 0
        self._those = those

    def before(self, call: Call) -> None:
        if any(call.method == method and start in call.key for method, start in self._those):
            self.failures += 1
            fail()

    def after(self, call: Call, result: object) -> None:
        del call, result


DELETING = ("delete", layout.DELETED)
"""The delete of what was taken, to where nobody looks for a blob."""

PLANS = (
    *((("move", start),) for start in (layout.BLOBS, layout.TRASH, layout.REPOSITORIES)),
    *((("publish", layout.REPOSITORIES),), (("open_writer", layout.REPOSITORIES),)),
    *((DELETING,), (DELETING, ("move", layout.DELETED))),
)
"""What a backend refuses to a collection."""


@scenario("E1", "E4", kills=("failed-is-removed-too", "taken-is-removed"), rows=(119, 152))
def what_is_still_there_is_reported_as_failed(ctx: Context) -> None:
    """If a backend refuses to move, write or delete, a collection reports what is still there as failed, and only that.

    Each has its error, and nothing is in two lists. What is wrongly reported as removed is never looked for again.
    """
    data = {label: ctx.payload(label).read(SMALL) for label in ("in-place", "in-trash", "linked")}
    for plan in PLANS:
        for each in (data["in-place"], data["linked"]):
            ctx.driver.put(blob(each), each)
        ctx.driver.put(layout.trashed(Digest.of(data["in-trash"])), data["in-trash"])
        ctx.driver.put(key := link("a", digest(data["linked"])), digest(data["linked"]).encode())
        refusing = _Refusing(*plan)
        report = watched(ctx, refusing).collect(now=later(), unreferenced=True)
        stored = ctx.stored()
        told = f"{plan} is refused: there are {stored}, and reported is {report}"
        assert refusing.failures, f"{plan} is never called"
        errors = [each.error for each in report.failed] + [each.error for each in report.dropped.failed]
        assert all(isinstance(each, DriverError) for each in errors), told
        lists = [(str(each.digest), part) for part in ("removed", "failed") for each in getattr(report, part)]
        linked = [digest(data["linked"])] if key in stored else []
        assert [each.key for each in report.dropped.failed] == [key] * len(linked), told
        assert sorted([each for each, _ in lists] + linked) == sorted(map(digest, data.values())), told
        left = [ctx.driver.stat(each).size for each in stored].count(SMALL)
        assert left == sum(part == "failed" for _, part in lists) + len(linked), told
        for prefix in (layout.ROOT, layout.OURS):
            ctx.driver.delete(prefix)


@scenario("S1", "D1", kills=("age-is-that-of-the-start", "dry-run-keeps-what-is-condemned"), rows=(152,))
def a_purge_reports_every_upload_as_it_is(ctx: Context) -> None:
    """The report of a purge has each upload once, with its offset and its age, in whichever state it is.

    Its age is the time since it was last written to, or begun. A dry run reports the same.
    """
    store, now = AgedStore(ctx), datetime.now(UTC)
    moved = store.new("moved")
    sizes = {begin(store.service, "a", data): len(data) for data in (b"", b"bytes")}
    slow, condemned = begin(store.service, "a", b"slow"), store.service.begin("a").uuid
    sizes |= {slow: 4, condemned: 0, moved_only(ctx, moved).uuid: len(moved), store.service.begin("a").uuid: 0}
    keys = {uuid: UploadKeys("a", uuid) for uuid in [*sizes, NOBODY]}
    sizes[NOBODY] = len(store.driver.get(store.put(keys[NOBODY].data, b"left"), 9))
    store.put(keys[condemned].purged, b"")
    store.put(f"{layout.uploads('a')}/stray", b"")
    entries = {}
    for uuid, each in keys.items():
        for number, key in enumerate(below := list(keys_below(store.driver, each.prefix))):
            store.put(key, LONG_AGO) if key == each.started_at else None
            store.ages[key] = timedelta(days=0 if uuid in (slow, condemned) else 9 + number)
        newest = max(store.driver.stat(key).modified for key in below)
        entries[uuid] = PurgeEntry("a", uuid, sizes[uuid], now - newest)
    dry = store.service.purge(WEEK, dry_run=True, now=now)
    report = store.service.purge(WEEK, now=now)
    kept, skipped = [entries.pop(slow)], [PurgeEntry("a", "stray", reason=NO_UPLOAD)]
    wanted = replace(report, removed=list(entries.values()), kept=kept, failed=[], skipped=skipped)
    assert _sorted(report) == _sorted(wanted), f"reported: {report}, not {wanted}"
    assert _sorted(replace(dry, dry_run=False)) == _sorted(report), f"a dry run reported {dry}, a run {report}"


NOBODY = f"{7:08}-0000-0000-0000-{0:012}"
"""The id of an upload that nobody knows of."""


@scenario(
    *("L1", "S1", "R1"),
    kills=("missing-is-told-once", "unlinked-without-a-size", "trash-is-of-every-repository"),
    rows=(120,),
)
def a_scrub_reports_everything_as_it_is(ctx: Context) -> None:
    """A scrub reports each blob, and each link or other key that is not in order, once, with its digests and size.

    A scrub of one repository reports what concerns that, and the totals are those of the findings.
    """
    store, bad = AgedStore(ctx), b"other bytes"
    sound, idle, damaged, lost, claimed = (
        store.blob(label, OLD) for label in ("sound", "idle", "damaged", "lost", "claimed")
    )
    store.claim(claimed)
    for each in (damaged, lost):
        store.put(blob(each), bad, OLD)
    gone, wrong = store.new("gone"), Digest.of(bad)
    for name in ("a", "b/c"):
        store.link(name, sound)
    store.link("a", damaged)
    missing = [store.link("a", gone), store.link("a", gone, "sha512"), store.link("b/c", gone)]
    broken = store.put(link("a", digest(b"broken")), b"broken")
    stray = store.put(f"{layout.uploads('b/c')}/stray", b"")
    left = store.put(UploadKeys("a", NOBODY).data, b"left").removesuffix("data")
    trash = store.trash(idle)
    store.put(f"{layout.BLOBS}/md5/foreign", b"")
    of_one = {
        Finding("ok", blob(sound), Digest.of(sound), size=len(sound)),
        Finding("damaged", blob(damaged), Digest.of(damaged), wrong, len(bad)),
        *(Finding("missing", key, Digest.of(gone)) for key in missing[:2]),
        *(Finding("damaged-link", broken), Finding("leftover", left)),
    }
    of_all = of_one | {
        *(Finding("ok", blob(data), Digest.of(data), size=len(data)) for data in (idle, claimed)),
        Finding("damaged", blob(lost), Digest.of(lost), wrong, len(bad)),
        Finding("unlinked", blob(idle), Digest.of(idle), size=len(idle)),
        Finding("unlinked", blob(lost), Digest.of(lost), size=len(bad)),
        *(Finding("missing", missing[2], Digest.of(gone)), Finding("leftover", trash)),
        *(Finding("foreign", stray), Finding("foreign", f"{layout.BLOBS}/md5/")),
    }
    whole: dict[str | None, set[Finding]] = {"a": of_one, None: of_all}
    for one, wanted in whole.items():
        for jobs in (1, 3):
            report = store.service.scrub(name=one, jobs=jobs)
            found = [replace(each, detail="") for each in report]
            assert sorted(found, key=str) == sorted(wanted, key=str), f"of {one}, by {jobs} jobs: {found}"
            ok = [each for each in wanted if each.kind == "ok"]
            totals = (report.ok, report.ok_bytes, len(report.findings), len(report.harm))
            others = [each.harmful for each in wanted if each.kind != "ok"]
            assert totals == (len(ok), sum(each.size for each in ok), len(others), sum(others)), f"of {one}: {totals}"

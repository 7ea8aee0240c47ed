"""Collections in which any call fails, or a rival comes before any call: no layer is lost, no blob reported twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore import (
    BackendUnavailableError,
    Digest,
    LayerService,
    LayerStoreError,
    MarkingIncompleteError,
    UnknownLayerError,
    layout,
)
from layerstore.checked import CheckedDriver
from layerstore.contents import links
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import blob, link, store
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.ages import SMALL, later
from layerstore_conformance.steps.expectations import expect_layer
from layerstore_conformance.steps.moved import moved_only
from layerstore_conformance.steps.rivals import turns
from layerstore_conformance.steps.watching import Trap, fail, number, of, watched

if TYPE_CHECKING:
    from layerstore.upkeep.collect import CollectReport
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.cutting import Side

GROUP = "upkeep"


def unused(ctx: Context, count: int = 2) -> list[bytes]:
    """Empty the store, put blobs there that nothing links, and return them in the order in which they are listed."""
    ctx.open().delete("docker")
    ctx.open().delete("layerstore")
    found = sorted((ctx.payload(f"unused-{index}").read(SMALL) for index in range(count)), key=digest)
    for data in found:
        ctx.open().put(blob(data), data)
    return found


def linked(ctx: Context, data: bytes) -> None:
    """Link a blob, as the mount that has found it does."""
    wanted = Digest.parse(digest(data))
    links.write(ctx.open(), "a", wanted, wanted)


def removed(*reports: CollectReport | None) -> list[str]:
    """Return the digests that reports say are removed, in order."""
    return sorted(str(each.digest) for report in reports if report for each in report.removed)


@scenario("M1", "L4", kills=("gc-lists-areas-once", "gc-ignores-intents"), rows=(119, 157))
def a_finish_gone_on_with_during_a_collection_is_seen_by_every_mark(ctx: Context) -> None:
    """If a finish that was cut off ends before any call of a collection, every mark of it sees the intent or the link.

    The link may be the first of its repository. A mark that sees neither takes the layer for unused.
    """
    for index, trap, service in turns(ctx):
        unused(ctx, 0)
        data = ctx.payload("begun").read(SMALL)
        upload = moved_only(ctx, data)
        trap.set(number(index), lambda: upload.finish(digest(data)).close())  # noqa: B023  (called within the turn)
        report = service.collect(now=later())
        assert (report.in_use, report.kept, report.removed) == (1, [], []), f"a mark has not seen it: {report}"
        if trap.sprung:
            expect_layer(ctx, "a", data)


@scenario("M3", "D1", kills=("gc-reports-what-another-removed",), rows=(119, 157), profile="full")
def collections_at_once_report_each_blob_once(ctx: Context) -> None:
    """If a collection runs before any call of another one, each unused blob is removed, and reported by one of them."""
    kept = ctx.payload("kept").read(SMALL)
    for index, trap, service in turns(ctx):
        gone = unused(ctx)
        store(ctx.service(), "a", kept)
        reports: list[CollectReport] = []
        trap.set(number(index), lambda reports=reports: reports.append(ctx.service().collect(now=later())))  # type: ignore[misc]  # bound for this turn
        reports.append(service.collect(now=later()))
        assert removed(*reports) == [digest(data) for data in gone], f"reported: {reports}"
        assert not any(report.failed for report in reports), f"reported: {reports}"
        assert ctx.stored() == [blob(kept), link("a", digest(kept))]
        expect_layer(ctx, "a", kept)


def failing(ctx: Context, side: Side) -> Iterator[tuple[Trap, LayerService]]:
    """Yield a service whose next call fails, before or after its effect; then the second call of another, and so on."""
    for index in itertools.count():
        trap = Trap(side)
        service = watched(ctx, trap)
        trap.set(number(index), fail)
        yield trap, service
        if not trap.sprung:
            return
        ctx.count("moments")
        ctx.step(f"failed {side} {trap.calls[index].method} {trap.calls[index].key}")


def collected(service: LayerService) -> CollectReport | None:
    """Collect; return None if that failed."""
    try:
        return service.collect(now=later())
    except (MarkingIncompleteError, BackendUnavailableError):
        return None


def a_call_fails(ctx: Context, side: Side) -> None:
    """Let each call of a collection fail in turn, and check what is there, and what it and the next one report."""
    kept = ctx.payload("kept").read(SMALL)
    for _, service in failing(ctx, side):
        gone = unused(ctx)
        store(ctx.service(), "a", kept)
        before = ctx.stored()
        first = collected(service)
        if first is None:
            assert ctx.stored() == before, "a collection that failed has left something in the trash"
        second = collected(ctx.service())
        assert removed(first, second) == [digest(data) for data in gone], f"reported: {first}, and then {second}"
        assert ctx.stored() == [blob(kept), link("a", digest(kept))]
        expect_layer(ctx, "a", kept)


@scenario(
    "E1", "E4", kills=("gc-leaves-its-moves", "gc-forgets-what-it-could-not-delete"), rows=(119, 157), profile="full"
)
def a_collection_of_which_any_call_fails_is_completed_by_the_next(ctx: Context) -> None:
    """If any call of a collection fails, what it has moved is back, and it and the next one report each blob once."""
    a_call_fails(ctx, "before")


@scenario("E4", "M3", kills=("gc-leaves-its-moves",), rows=(119, 157), profile="full")
def a_collection_of_which_any_answer_is_lost_is_completed_by_the_next(ctx: Context) -> None:
    """If the answer of any call of a collection is lost, it and the next one report each blob once."""
    a_call_fails(ctx, "after")


@scenario("E4", "M1", kills=("gc-puts-back-until-one-fails", "gc-leaves-its-moves"))
def a_collection_puts_back_what_it_can(ctx: Context) -> None:
    """If a mark fails, and then the return of one blob, the other blobs are back; the next collection has the one.

    They may be layers by now: those were mounted before the blobs were moved.
    """
    data, trap = unused(ctx, 3), Trap()

    def twice() -> None:
        trap.set(of("open_reader", layout.TRASH), fail)
        fail()

    def mounted() -> None:
        for each in data:
            linked(ctx, each)
        trap.set(of("list", layout.REPOSITORIES), twice)

    trap.set(of("move"), mounted)
    with refused(MarkingIncompleteError):
        watched(ctx, trap).collect(now=later())
    assert trap.sprung, "nothing is put back"
    assert len(ctx.stored(layout.BLOBS)) == 2, "a blob is not back, because another one is not"
    ctx.service().collect(now=later())
    for each in data:
        expect_layer(ctx, "a", each)


@scenario("E1", "M1", kills=("gc-leaves-its-moves",))
def a_collection_that_fails_between_its_moves_puts_them_back(ctx: Context) -> None:
    """If a collection cannot look for what another one has moved, what it has moved itself is back when it ends."""
    (first, second), trap = unused(ctx), Trap()

    def taken() -> None:
        ctx.open().move(blob(second), layout.trashed(Digest.parse(digest(second))))
        trap.set(of("list", layout.TRASH), fail)

    def mounted() -> None:
        linked(ctx, first)
        linked(ctx, second)
        trap.set(of("move"), taken)

    trap.set(of("move"), mounted)
    with refused(LayerStoreError):
        watched(ctx, trap).collect(now=later())
    expect_layer(ctx, "a", first)
    ctx.service().collect(now=later())
    expect_layer(ctx, "a", second)


@scenario("E4", "M1", kills=("gc-gives-up-a-blob-that-was-moved",))
def a_layer_mounted_before_a_move_whose_answer_was_lost_stays(ctx: Context) -> None:
    """If a collection moves a blob that was just mounted, and the answer is lost, it puts the blob back all the same.

    Until then a layer that was promised cannot be read; the next collection may be a week away.
    """
    (data,), early, late = unused(ctx, 1), Trap(), Trap("after")
    driver = ctx.open()
    observed = ObservedDriver(ObservedDriver(driver, late), early)
    early.set(of("move"), lambda: linked(ctx, data))
    late.set(of("move"), fail)
    LayerService(CheckedDriver(observed, driver.scheme)).collect(now=later())
    assert late.sprung, "the collection moves nothing"
    expect_layer(ctx, "a", data)


@scenario("M2", kills=("gc-ends-a-move-under-way",), rows=(119, 157))
def a_move_under_way_is_left_to_who_moves(ctx: Context) -> None:
    """A young copy in the trash is left alone while the blob is in its place, too; an old one is ended.

    Who copies a blob to the trash deletes it in its place next. If the copy is gone by then, the layer is lost.
    """
    (data,) = unused(ctx, 1)
    linked(ctx, data)
    copy = layout.trashed(Digest.parse(digest(data)))
    ctx.open().put(copy, data)
    ctx.service().collect()
    ctx.open().delete(blob(data))  # as who moves it does
    ctx.service().collect(now=later())
    expect_layer(ctx, "a", data)
    ctx.open().put(copy, data)
    ctx.service().collect(now=later())
    assert ctx.stored() == [blob(data), link("a", digest(data))], "an old copy is left in the trash"


@scenario("M1", "M4", kills=("gc-puts-back-over-what-is-there",), rows=(160,))
def a_damaged_blob_is_not_put_back(ctx: Context) -> None:
    """If a layer's blob in the trash is damaged, a collection moves it to quarantine, and the layer is unknown."""
    data = ctx.payload("damaged").read(SMALL)
    for damaged in (bytes(SMALL), data[:-1], b""):
        unused(ctx, 0)
        linked(ctx, data)
        ctx.open().put(layout.trashed(Digest.parse(digest(data))), damaged)
        ctx.service().collect(now=later())
        with refused(UnknownLayerError):
            ctx.service().fetch("a", digest(data))
        assert ctx.stored(layout.BLOBS) == [], "a damaged blob was put back"
        (kept,) = ctx.stored("layerstore")
        assert kept.startswith(f"{layout.QUARANTINE}/"), f"kept as {kept}"
        ctx.expect(kept, damaged)
        store(ctx.service(), "a", data)
        expect_layer(ctx, "a", data)


@scenario("L3", "E1", kills=("gc-follows-a-link-elsewhere",))
def a_link_that_points_elsewhere_ends_a_collection(ctx: Context) -> None:
    """A link named by one sha256 that points to another ends a collection: it may be all that keeps the first one."""
    data, driver = unused(ctx), ctx.open()
    driver.put(link("a", digest(data[0])), digest(data[1]).encode("ascii"))
    before = ctx.stored()
    with refused(MarkingIncompleteError):
        ctx.service().collect(now=later())
    assert ctx.stored() == before, "a collection that did not understand a link has deleted something"

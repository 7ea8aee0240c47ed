"""Purge, scrub and collect with a rival before each of their calls; and each of them before each call of a finish."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from layerstore import Digest, FencedError, LayerStoreError, UnknownLayerError, UnknownUploadError, layout
from layerstore.contents import links
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import blob, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.promises import theorem
from layerstore_conformance.steps.ages import SMALL, WEEK, later, newest, old
from layerstore_conformance.steps.expectations import expect_gone, expect_layer, expect_stored
from layerstore_conformance.steps.rivals import disturbed, finish, turns
from layerstore_conformance.steps.watching import Trap, number, of, watched

if TYPE_CHECKING:
    from layerstore import LayerUpload
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"


class RivalWriter:
    """Resumes an upload, and writes to it until its date is later than before: backends' clocks may be coarse."""

    def __init__(self, ctx: Context, uuid: str, data: bytes, before: datetime) -> None:
        """Be ready to append."""
        self.ctx, self.uuid, self.before = ctx, uuid, before
        self.stored = data
        """The bytes that must be stored."""
        self.came = False
        """Whether the upload was still there to be resumed."""

    def write(self) -> None:
        """Write, unless the upload is gone."""
        with suppress(UnknownUploadError), self.ctx.service().resume("a", self.uuid) as upload:
            self.came = True
            while newest(self.ctx, self.uuid) <= self.before:
                upload.write(b"alive")
                upload.flush()
                self.stored += b"alive"


@scenario("F1", "F3", "M4", kills=("purge-does-not-look-again", "purge-removes-unconditionally"), rows=(120, 152))
def an_upload_that_comes_alive_is_not_purged(ctx: Context) -> None:
    """If an upload is resumed and written to before any call of a purge, it was removed already, or stays.

    If a write has returned, its bytes are there: the last write of that upload is a moment ago.
    """
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"alive-{index}").read(SMALL)
        uuid = old(ctx, "a", data)
        moment = newest(ctx, uuid)
        rival = RivalWriter(ctx, uuid, data, moment)
        trap.set(number(index), rival.write)
        report = service.purge(WEEK, now=moment + WEEK)
        assert not report.failed, report.failed
        if not rival.came:
            expect_gone(ctx, "a", uuid)
            continue
        expect_stored(ctx, "a", uuid, rival.stored)
        ctx.service().resume("a", uuid, offset=len(rival.stored)).finish(digest(rival.stored)).close()
        expect_layer(ctx, "a", rival.stored)


@scenario("F1", "F3", "M1", kills=("purge-lets-an-upload-begin-anew",), rows=(120, 152))
def an_upload_resumed_during_a_purge_never_begins_anew(ctx: Context) -> None:
    """An upload resumed before any call of a purge is at its offset, or unknown; its handle learns if it is purged.

    An offset never goes back while the upload is there: a client that finds itself at 0 sends everything once more.
    """
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"resumed-{index}").read(SMALL)
        uuid = old(ctx, "a", data)
        handles = []

        def resume(uuid: str = uuid) -> None:
            with suppress(UnknownUploadError):
                handles.append(ctx.service().resume("a", uuid))  # noqa: B023  (called within the turn)

        trap.set(number(index), resume)
        report = service.purge(WEEK, now=later())
        assert not report.failed, report.failed
        assert [upload.tell() for upload in handles] in ([], [SMALL]), "resumed at another offset than it was"
        if [each.uuid for each in report.removed] != [uuid]:
            handles[0].finish(digest(data)).close()
            continue
        for upload in handles:
            with refused(UnknownUploadError):
                upload.close()
        expect_gone(ctx, "a", uuid)


@scenario("F2", "M3", "M4", kills=("purge-takes-the-layer",), rows=(120, 152))
def a_finish_during_a_purge_is_a_layer_or_is_told(ctx: Context) -> None:
    """If a finish before any call of a purge returns, its layer is there."""
    done = 0
    for index, trap, service in turns(ctx):
        data = ctx.payload(f"finished-{index}").read(SMALL)
        uuid = old(ctx, "a", data)
        returned: list[str] = []

        def act(uuid: str = uuid, data: bytes = data, returned: list[str] = returned) -> None:
            with suppress(UnknownUploadError):
                ctx.service().resume("a", uuid).finish(digest(data)).close()
                returned.append(uuid)

        trap.set(number(index), act)
        report = service.purge(WEEK, now=later())
        assert not report.failed, report.failed
        expect_gone(ctx, "a", uuid)
        if returned:
            expect_layer(ctx, "a", data)
            done += 1
        else:
            assert not ctx.service().exists("a", digest(data)), "the finish says that it is gone, and yet it is a layer"
    assert done, "no finish was in time"


@scenario("F2", "M3", "M4", kills=("purge-takes-the-layer",), rows=(120, 152))
def a_purge_during_a_finish_leaves_a_layer_or_nothing(ctx: Context) -> None:
    """If an upload is purged between two calls of its finish, its layer is there and whole, or the finish raises."""
    met = disturbed(ctx, lambda uuid: ctx.service().purge(WEEK, now=later()), finish)
    theorem.check_store(ctx.open())
    ctx.count("moments", len(met))
    assert {"done", "UnknownUploadError"} == {outcome for *_, outcome in met}, f"only {met}"
    for uuid, data, outcome in met:
        expect_gone(ctx, "a", uuid)
        if outcome == "done":
            expect_layer(ctx, "a", data)
        else:
            assert not ctx.service().exists("a", digest(data)), "purged, and yet a layer"


@scenario("D3", "F3", kills=("gone-upload-is-merely-fenced", "cancelled-flush-leaves-its-state"), rows=(149, 152))
def a_purge_during_a_close_leaves_nothing(ctx: Context) -> None:
    """If an upload is purged between two calls of its close, nothing of it is left, and the close raises."""

    def work(upload: LayerUpload, data: bytes) -> None:
        with suppress(FencedError):  # clause F3: a write may raise it earlier, the close says why
            upload.write(data)
        upload.close()

    met = disturbed(ctx, lambda uuid: ctx.service().purge(WEEK, now=later()), work)
    ctx.count("moments", len(met))
    assert met, "no rival came between"
    for uuid, _, outcome in met:
        assert outcome == "UnknownUploadError", f"a purged upload was closed: {outcome}"
        expect_gone(ctx, "a", uuid)


@scenario(
    "M2", "M4", "S2", kills=("scrub-quarantines-what-was-healed", "scrub-reports-what-was-healed"), rows=(119, 157)
)
def a_layer_healed_during_a_scrub_stays(ctx: Context) -> None:
    """If a damaged layer is uploaded again before any call of a scrub, it is whole, and not in quarantine.

    When an upload has returned, no tool may remove its bytes because of the bytes that were there before.
    """
    data = ctx.payload("healed").read(SMALL)
    for quarantine in (True, False):
        for index, trap, service in turns(ctx):
            ctx.open().put(blob(data), bytes(SMALL))
            trap.set(number(index), lambda: store(ctx.service(), "a", data))
            # A reader whose version was replaced may raise (R4): that is no reason to tell of the blob, either.
            wrong = [each for each in service.scrub(quarantine=quarantine) if each.kind in {"damaged", "unreadable"}]
            assert bool(wrong) != trap.sprung, f"found: {wrong}"
            if trap.sprung:
                expect_layer(ctx, "a", data)


@scenario("M2", "M4", kills=("gc-deletes-by-name", "gc-puts-back-over-what-is-there"), rows=(119, 157))
def a_layer_finished_during_a_collection_stays(ctx: Context) -> None:
    """If an unlinked, damaged blob is uploaded before any call of a collection, its layer is whole."""
    data = ctx.payload("collected").read(SMALL)
    for index, trap, service in turns(ctx):
        ctx.open().delete("docker")
        ctx.open().put(blob(data), bytes(SMALL))
        trap.set(number(index), lambda: store(ctx.service(), "a", data))
        service.collect(now=later())
        if trap.sprung:
            expect_layer(ctx, "a", data)


@scenario("M1", "M2", kills=("gc-ignores-intents",), rows=(119, 157))
def a_collection_during_a_finish_takes_nothing(ctx: Context) -> None:
    """If a collection runs between two calls of a finish, however old the bytes are, the finish succeeds."""
    met = disturbed(ctx, lambda uuid: ctx.service().collect(now=later()), finish)
    ctx.count("moments", len(met))
    assert {outcome for *_, outcome in met} == {"done"}, f"met: {met}"
    for _, data, _ in met:
        expect_layer(ctx, "a", data)


@scenario("L4", "M2", kills=("gc-marks-once",), rows=(119, 157))
def a_layer_mounted_during_a_collection_stays(ctx: Context) -> None:
    """If a layer is mounted elsewhere and unlinked before any call of a collection, it is there.

    A mark looks at one repository after the other, and may see the layer in neither.
    """
    data = ctx.payload("mounted").read(SMALL)
    for index, trap, service in turns(ctx):
        ctx.open().delete("docker")
        store(ctx.service(), "b", data)
        mounted: list[str] = []

        def act(mounted: list[str] = mounted) -> None:
            with suppress(UnknownLayerError):
                ctx.service().mount("a", digest(data), source="b").close()
                mounted.append("a")
            with suppress(LayerStoreError):
                ctx.service().unlink("b", digest(data))

        trap.set(number(index), act)
        service.collect(now=later())
        for name in mounted or ["b"]:
            expect_layer(ctx, name, data)


@scenario("L4", "M3", kills=("gc-lets-go-of-what-another-took",), rows=(119, 157))
def a_collection_ends_what_another_one_took_and_left(ctx: Context) -> None:
    """A layer mounted during a collection is there though a collection that died had moved its blob to the trash.

    The dead collection had looked for links earlier; only a present look can find the new one.
    """
    data = ctx.payload("taken").read(SMALL)
    trap, wanted = Trap(), Digest.parse(digest(data))
    ctx.open().put(blob(data), data)

    def act() -> None:
        links.write(ctx.open(), "a", wanted, wanted)  # a mount, whose layer has been found there
        expect_layer(ctx, "a", data)
        ctx.open().move(blob(data), layout.trashed(wanted))

    trap.set(of("move"), act)
    watched(ctx, trap).collect(now=later())
    assert trap.sprung, "the collection moves nothing"
    expect_layer(ctx, "a", data)

"""Times that the service writes, tells and goes by: of layers, uploads and damaged blobs, in every time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore.layout import UploadKeys
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.zone import in_zone
from layerstore_conformance.steps.ages import SMALL, old
from layerstore_conformance.steps.points import ZONES

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"

CLOSE = timedelta(minutes=15)
"""By how much clocks may differ; time zones differ by more."""

HOUR = timedelta(hours=1)


def _is_of_now(what: str, found: datetime) -> None:
    now = datetime.now(UTC)
    assert found.utcoffset() == timedelta(0), f"{what} is {found.isoformat()}, which is not in UTC"
    assert abs(now - found) < CLOSE, f"{what} is {found.isoformat()}; it is {now.isoformat()}"


@scenario("S1", kills=("quarantined-in-local-time", "begun-in-local-time", "purged-by-local-time"), axes=(ZONES,))
def every_time_of_the_service_is_utc_in_every_time_zone(ctx: Context, zone: str) -> None:
    """In any time zone, all times that a service stores, tells and goes by are the present time, in UTC.

    So nodes in several zones share a store, and none of them purges what another has just begun.
    """
    data, damaged, idle = (ctx.payload(label).read(SMALL) for label in ("told", "damaged", "idle"))
    with in_zone(zone):
        service = ctx.service()
        upload = service.upload("a")
        upload.write(data)
        upload.flush()
        begun = service.begin("a")
        text = ctx.open().get(UploadKeys("a", begun.uuid).started_at, 99).decode()
        told = {"the start of an upload": upload.started_at, "the start stored": datetime.fromisoformat(text)}
        told |= {"a begun start": begun.started_at, "a begun write": begun.modified}
        for info in [*service.uploads("a"), service.status("a", upload.uuid)]:
            told |= {f"the start of {info.uuid}": info.started_at, f"the last write of {info.uuid}": info.modified}
        with upload.finish(digest(data)) as layer:
            told["a layer finished"] = layer.created_at
        with service.fetch("a", digest(data)) as layer, service.mount("b", digest(data), source="a") as mounted:
            told |= {"a layer fetched": layer.created_at, "a layer mounted": mounted.created_at}
        told |= {f"a layer listed in {info.name}": info.created_at for info in service.layers()}
        store(service, "a", damaged)
        for key, content in ((blob(damaged), b"damaged"), (blob(idle), idle)):
            ctx.driver.put(key, content)
        (kept,) = [each.quarantined for each in service.scrub(quarantine=True) if each.kind == "damaged"]
        at = datetime.strptime(kept.rpartition("/")[2], "%Y%m%dT%H%M%S.%fZ")  # noqa: DTZ007  (it has a Z)
        told["a damaged blob's time"] = at.replace(tzinfo=UTC)
        for what, found in told.items():
            _is_of_now(what, found)
        purged, collected = service.purge(HOUR), service.collect()
    ages = [each.age for each in purged.kept]
    assert purged.removed == [], f"purged is what was just stored: {purged.removed}"
    assert all(age is not None and abs(age) < CLOSE for age in ages), f"what was just begun is {ages} old"
    assert (collected.removed, collected.young) == ([], 1), f"what was just stored is old: {collected}"


@scenario("S1", kills=("created-when-it-was-begun",))
def a_layer_is_created_when_it_is_linked(ctx: Context) -> None:
    """A layer's time is that of its link, however long ago its upload was begun, and whoever tells of it.

    A registry that goes by it would take a layer that was just finished for an old one.
    """
    data = ctx.payload("slow").read(SMALL)
    with ctx.service().resume("a", old(ctx, "a", data[:100])) as upload:
        upload.write(data[100:])
        layer = upload.finish(digest(data))
    linked = ctx.open().stat(link("a", digest(data))).modified
    assert abs(layer.created_at - linked) < timedelta(days=1), (
        f"linked at {linked}, it was created at {layer.created_at}"
    )
    layer.close()
    ctx.service().mount("b", digest(data), source="a").close()
    for name in ("a", "b"):
        linked = ctx.open().stat(link(name, digest(data))).modified
        with ctx.service().fetch(name, digest(data)) as layer:
            times = [layer.created_at, *(info.created_at for info in ctx.service().layers(name))]
        assert times == [linked, linked], f"linked at {linked}, it was created at {times}"

"""Uploads of which a writer has taken keys and published nothing under them, as a driver may tell of a killed one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from layerstore import LayerService, UnknownUploadError, layout
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.taking import TakingDriver
from layerstore_conformance.steps.ages import SMALL, WEEK, later

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "upkeep"

UUID: Final = "01234567-89ab-4cde-8f01-23456789abcd"
KEYS: Final = layout.UploadKeys("a", UUID)

DAY: Final = timedelta(days=1)

AGES: Final[dict[str, timedelta | None]] = {"not there": None, "old": WEEK + DAY, "young": WEEK - DAY}
"""How long ago a key was taken, or the upload was begun."""

TAKEN: Final = (KEYS.data, KEYS.state, f"{KEYS.intents}/{'0' * 64}", f"{KEYS.prefix}/another")
"""What a killed writer may have taken, beside an upload's start."""


def _driver(ctx: Context, taken: dict[str, datetime]) -> CheckedDriver:
    inner = ctx.open()
    return CheckedDriver(TakingDriver(inner, taken), inner.scheme)


KEYS_TAKEN: Final = {
    " and ".join(key.removeprefix(f"{KEYS.prefix}/")[:8] for key in two): two for two in pairwise(TAKEN)
}

Age = timedelta | None


@scenario(
    *("L6", "D1"),
    kills=("what-is-taken-is-passed-over", "taken-keys-are-noted-as-folders", "a-purge-goes-by-the-oldest-part"),
    rows=(69, 73, 152),
    axes=(Axis("begun", AGES), Axis("taken", AGES), Axis("also", AGES), Axis("keys", KEYS_TAKEN)),
)
def a_purge_goes_by_when_a_key_was_taken_last(
    ctx: Context, begun: Age, taken: Age, also: Age, keys: tuple[str, str]
) -> None:
    """What killed writers took, with or without a start, is purged at the age of the latest taking or start.

    A purge that passes over it leaves it for ever; one that goes by the first taking removes what is at work.
    """
    now = later(2 * WEEK)
    ages = [age for age in (begun, taken, also) if age is not None]
    known = {key: now - age for key, age in zip(keys, (taken, also), strict=True) if age is not None}
    driver = _driver(ctx, known)
    if begun is not None:
        driver.put(KEYS.started_at, (now - begun).strftime("%Y-%m-%dT%H:%M:%SZ").encode())
    dry = LayerService(driver).purge(WEEK, now=now, dry_run=True)
    done = LayerService(driver).purge(WEEK, now=now)
    wanted = [UUID] if ages and min(ages) >= WEEK else []
    told = [[each.uuid for each in report.removed] for report in (dry, done)]
    assert told == [wanted, wanted], f"purged were {told}"
    if wanted or not ages:
        assert not known, f"taken is {known} still"
        assert ctx.stored(KEYS.prefix) == [], f"there is {ctx.stored(KEYS.prefix)}"
    else:
        told_ages = [each.age for each in done.kept if each.uuid == UUID and each.age is not None]
        assert len(told_ages) == len(done.kept) == 1, f"kept are {done.kept}"
        assert abs(told_ages[0] - min(ages)) < timedelta(seconds=2), f"of the age {told_ages[0]}, and not {min(ages)}"


@scenario("L6", "L1", kills=("what-is-taken-is-passed-over", "a-taken-start-is-a-start"), rows=(69, 152))
def an_upload_whose_start_was_only_taken_is_no_upload(ctx: Context) -> None:
    """An upload whose start was taken and not published is a leftover to a scrub, and to nobody an upload."""
    for taken in ({KEYS.started_at}, {KEYS.started_at, KEYS.data}, {KEYS.data}):
        driver = _driver(ctx, dict.fromkeys(taken, datetime.now(UTC)))
        service = LayerService(driver)
        told = [(each.kind, each.key.rstrip("/")) for each in service.scrub()]
        assert told == [("leftover", KEYS.prefix)], f"{sorted(taken)} is taken, and a scrub tells {told}"
        assert list(service.uploads()) == list(service.uploads("a")) == []
        with refused(UnknownUploadError):
            service.status("a", UUID)
        with refused(UnknownUploadError):
            service.resume("a", UUID)
        driver.delete(KEYS.prefix)


@scenario("L6", "D1", kills=("what-is-taken-is-foreign",), rows=(69, 152))
def keys_that_were_only_taken_keep_nothing_and_stop_nobody(ctx: Context) -> None:
    """Where links, blobs and uploads were taken and not published, a collection goes on, and so does a layer's finish.

    A writer of theirs was killed, and never said anything.
    """
    data, unused = (ctx.payload(label).read(SMALL) for label in ("used", "unused"))
    taken = dict.fromkeys((*TAKEN, link("a", digest(unused)), link("b", digest(unused))), datetime.now(UTC))
    taken[f"{layout.manifests('a')}/tags/latest/current/link"] = taken[blob(b"taken")] = datetime.now(UTC)
    service = LayerService(_driver(ctx, taken))
    stored = store(service, "a", data)
    ctx.driver.put(blob(unused), unused)
    assert [str(each.digest) for each in service.layers()] == [stored]
    assert [str(each.digest) for each in service.collect(now=later()).removed] == [digest(unused)]
    harm = [each for each in service.scrub() if each.harmful]
    assert not harm, f"harm: {harm}"
    with service.fetch("a", stored) as layer:
        ctx.same(layer.read(), data, "a layer beside taken keys")

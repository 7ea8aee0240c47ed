"""Tools in a store of which any one listing fails: each goes on with the rest, tells of it, and guesses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from layerstore import BackendUnavailableError, LayerService, layout
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.layers import begin, blob, link, store
from layerstore_conformance.kit.payloads import digest
from layerstore_conformance.steps.ages import SMALL, WEEK, later
from layerstore_conformance.steps.watching import Trap, fail, watched

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call

GROUP = "upkeep"

NAMES: Final = ("a", "a/b", "c/d")
"""Repositories, one below another."""


def _failing(ctx: Context) -> Iterator[tuple[Trap, LayerService]]:
    """Yield services of each of which one listing fails, until one has no more."""
    for wanted in itertools.count():
        trap, seen = Trap(), itertools.count()

        def is_it(_: int, call: Call, seen: Iterator[int] = seen, wanted: int = wanted) -> bool:
            return call.method == "list" and next(seen) == wanted

        trap.set(is_it, fail)
        yield trap, watched(ctx, trap)
        if not trap.sprung:
            return
        ctx.count("moments")


@scenario(
    *("E1", "L1"),
    kills=(
        "a-survey-that-missed-something-is-whole",
        "an-unlisted-repository-ends-the-walk",
        "a-top-unlisted-is-empty",
    ),
    rows=(119,),
    profile="default",
)
def a_scrub_of_which_a_listing_fails_tells_of_all_else(ctx: Context) -> None:
    """If any listing of a scrub fails, it raises, or tells of the prefix as unreadable and of all other repositories.

    Then it calls no blob unlinked: what it could not list may link it.
    """
    for name in NAMES:
        ctx.driver.put(link(name, digest(name.encode())), digest(name.encode()).encode())
    kept, unlinked = (ctx.payload(label).read(SMALL) for label in ("kept", "unlinked"))
    store(ctx.service(), "a", kept)
    ctx.driver.put(blob(unlinked), unlinked)
    for trap, service in _failing(ctx):
        found = list[tuple[str, str]]()
        try:
            found.extend((each.kind, each.key) for each in service.scrub())
        except BackendUnavailableError:
            assert trap.sprung, "a scrub fails by itself"
            place = trap.calls[-1].key
            assert not place.startswith(f"{layout.REPOSITORIES}/"), f"it raises because {place} cannot be listed"
            continue
        unreadable = [key.rstrip("/") for kind, key in found if kind == "unreadable"]
        missing = {key for kind, key in found if kind == "missing"}
        wanted = {link(name, digest(name.encode())) for name in NAMES}
        if trap.sprung:
            assert unreadable, f"a listing failed, and a scrub tells {found}"
            assert "unlinked" not in dict(found), f"it cannot know what {unreadable} link, and tells {found}"
        else:
            assert not unreadable, f"every listing was answered, and a scrub tells {found}"
        hidden = {key for key in wanted if any(f"{key}/".startswith(f"{place}/") for place in unreadable)}
        assert missing >= wanted - hidden, f"of {sorted(wanted - hidden)} it tells {sorted(missing)}"


@scenario(
    *("E1", "L1", "D1"),
    kills=("an-unlisted-repository-ends-the-walk", "a-top-unlisted-is-empty"),
    rows=(119, 152),
    profile="default",
)
def a_purge_of_which_a_listing_fails_purges_all_else(ctx: Context) -> None:
    """If any listing of a purge fails, it raises, or reports that as failed and purges the uploads of all others."""
    for trap, service in _failing(ctx):
        uuids = {name: begin(ctx.service(), name, b"abandoned") for name in NAMES}
        try:
            report = service.purge(WEEK, now=later())
        except BackendUnavailableError:
            assert trap.sprung, "a purge fails by itself"
            place = trap.calls[-1].key
            assert place == layout.REPOSITORIES, f"it raises because {place} cannot be listed"
        else:
            assert bool(report.failed) == trap.sprung, f"failed are {report.failed}, after a listing that did"
            failed = {each.name for each in report.failed}
            removed = {each.name for each in report.removed}
            hidden = {name for name in NAMES if any(f"{name}/".startswith(f"{each}/") for each in failed)}
            assert removed >= {*NAMES} - hidden, f"of {sorted({*NAMES} - hidden)} these were purged: {sorted(removed)}"
            assert all(uuids[each.name] == each.uuid for each in report.removed)
        ctx.service().purge(WEEK, now=later())
        assert list(ctx.service().uploads()) == []

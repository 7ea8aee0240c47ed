"""Replaced: a store is taken away in the middle of a call, and what the call has open is not let go of meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerstore import BackendUnavailableError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.moments import Meeting
from layerstore_conformance.kit.places import Places
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"
IDS = "replaced"

MOMENTS: Final = {"quick": 10, "default": 60, "full": 1000}
"""Moments of each call that are tried."""

OURS, THEIRS = b"of our store", b"of another store"

CALLS: dict[str, Callable[[CheckedDriver], object]] = {
    "stat": lambda driver: driver.stat("d/key").size,
    "read": lambda driver: driver.get("d/key", 100),
    "list": lambda driver: list(driver.list("d")),
    "scan": lambda driver: list(driver.scan("")),
    "put": lambda driver: driver.put("d/key", OURS),
}


@scenario(
    *("E2", "T1", "T2", "X1"),
    kills=("a-root-is-known-by-a-number",),
    needs=("traced", "url", "shared"),
    axes=(Axis("call", CALLS),),
)
def a_call_whose_store_goes_away_reaches_no_other(ctx: Context, call: Callable[[CheckedDriver], object]) -> None:
    """If a store goes away in the middle of a call, and another thread finds that out, the call reaches no other store.

    The other thread lets go of what leads nowhere. A descriptor that is closed under a call is soon another file's.
    """
    with a_folder() as folder:
        ours, theirs = (_anew(ctx, folder / name) for name in ("ours", "theirs"))
        with ctx.handles():
            ctx.at(ours).put("d/key", OURS)
            ctx.at(theirs).put("d/key", THEIRS)
            ctx.at(theirs).put("d/more", THEIRS)
            wanted = call(ctx.at(ours))
        events = _gone_in_between(ctx, folder, (ours, theirs), call, 1 << 60, wanted)
        for moment in ctx.sample(range(events), MOMENTS[ctx.profile]):
            _gone_in_between(ctx, folder, (ours, theirs), call, moment, wanted)
            ctx.count("moments")


def _anew(ctx: Context, directory: Path) -> Callable[[], Driver]:
    opens = store_in(ctx, directory)
    return Harness(opens).open if isinstance(opens, str) else opens


Stores = tuple[Callable[[], "Driver"], Callable[[], "Driver"]]


def _gone_in_between(
    ctx: Context,
    folder: Path,
    stores: Stores,
    call: Callable[[CheckedDriver], object],
    moment: int,
    wanted: object,
) -> int:
    """Take the store away at a moment of a call, use another, and bring it back; return how many moments there are."""
    with ctx.handles():
        driver, other = ctx.at(stores[0]), ctx.at(stores[1])
        driver.find("d/key")
        found: list[object] = []
        meeting = Meeting(partial(_go_away, folder / "ours", driver, other), moment, Places(driver).have)
        with suppress(BackendUnavailableError):
            meeting.of(lambda: found.append(call(driver)))
        assert found in ([], [wanted]), f"a call whose store went away at event {moment} found {found}"
        assert other.get("d/key", 100) == THEIRS, f"a put has reached another store, at event {moment}"
        assert driver.get("d/key", 100) == OURS, f"at event {moment}"
    return meeting.events


def _go_away(store: Path, driver: CheckedDriver, other: CheckedDriver) -> None:
    """Have the store away while the driver looks for it, and while another one is used."""
    store.rename(store.with_name("aside"))
    try:
        with suppress(BackendUnavailableError):
            driver.find("d/key")
        other.find("d/key")
    finally:
        store.with_name("aside").rename(store)

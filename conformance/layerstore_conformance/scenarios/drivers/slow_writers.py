"""Slow writers: what they have written outlives any number of days, by whosever clock."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.later import later
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

OLD, FLUSHED, WRITTEN, MORE = (each * 100 for each in (b"old", b"flushed", b"written", b"more"))
LARGE: Final = b"large" * (300 << 10)

AHEAD: Final = Axis(
    "ahead", {"two hours": timedelta(hours=2), "two days": timedelta(days=2), "ten years": timedelta(days=3653)}
)


class Whose(NamedTuple):
    """Whose clocks are ahead of the writers' own at first."""

    of_the_others: bool
    of_the_writers: bool
    """When they go on."""


WHOSE: Final = Axis(
    "whose",
    {
        "of the others": Whose(of_the_others=True, of_the_writers=False),
        "of all": Whose(of_the_others=True, of_the_writers=True),
        "of the writers, later": Whose(of_the_others=False, of_the_writers=True),
    },
)


def _begin(driver: CheckedDriver) -> dict[str, tuple[Writer, bytes]]:
    """Open writers that have written and not flushed, and return with each what it must publish, less what follows."""
    driver.put("d/old", OLD)
    begun: dict[str, tuple[Writer, bytes]] = {}
    for key, before, flushed, written in (
        ("d/old", OLD, b"", WRITTEN),
        ("d/new", b"", b"", WRITTEN),
        ("d/e/large", b"", b"", LARGE),
        ("d/e/flushed", b"", FLUSHED, WRITTEN),
        ("d/opened", b"", b"", b""),
    ):
        writer = driver.open_writer(key)
        if flushed:
            writer.write(flushed)
            writer.flush()
        if written:
            writer.write(written)
        begun[key] = writer, before + flushed + written
    return begun


def _keep_house(driver: CheckedDriver) -> None:
    """Do everything that may remove what dead writers left."""
    driver.put("house/one", b"one")
    with driver.open_writer("house/one") as writer:
        writer.write(b"more")
    with driver.open_writer("d/beside") as writer:
        writer.write(b"beside")
    driver.move("house/one", "house/moved")
    for prefix in ("", "d", "d/e"):
        list(driver.list(prefix))
        list(driver.scan(prefix))
    driver.delete("d/beside")
    driver.delete("house")


def _as_far_as_it_can() -> AbstractContextManager[None]:
    """Let calls be refused: a server may refuse whose clock is days ahead."""
    return suppress(DriverError)


GO_ON: Final = Axis("more", {"it writes": MORE, "it closes": b""})
"""What a writer writes before its end, if anything: a lease may be renewed by that."""


def _go_on(begun: dict[str, tuple[Writer, bytes]], more: bytes) -> None:
    for writer, _ in begun.values():
        if more:
            writer.write(more)
        writer.close()


@scenario(
    *("T2", "W6", "F3"),
    kills=("old-drafts-are-cleared-away", "writers-hold-a-lease"),
    rows=(161,),
    axes=(AHEAD, WHOSE, GO_ON),
)
def what_a_slow_writer_has_written_outlives_days(ctx: Context, ahead: timedelta, whose: Whose, more: bytes) -> None:
    """However late it is when others use the store, or when a writer goes on, it publishes all that it has written.

    A client may be slow, and a clock may be set forward. Who removes what dead writers left must not go by age.
    """
    begun = _begin(ctx.driver)
    with later(ctx.driver, ahead) if whose.of_the_others else nullcontext(), _as_far_as_it_can():
        another = ctx.open()
        _keep_house(another)
        another.close()
    with later(ctx.driver, ahead) if whose.of_the_writers else nullcontext():
        _go_on(begun, more)
    for key, (_, data) in begun.items():
        ctx.expect(key, data + more)


@scenario(
    *("T2", "W6", "F3", "C3"),
    kills=("old-drafts-are-cleared-away",),
    rows=(161,),
    needs=("shared", "url"),
)
def what_a_slow_writer_has_written_outlives_processes_of_days_later(ctx: Context) -> None:
    """Whatever other processes do, by clocks that are hours or years ahead, a writer publishes all that it has written.

    The nodes of a cluster do not have one clock.
    """
    with Elsewhere(ctx) as there:
        for name, ahead in AHEAD.points.items():
            ctx.step(name)
            ctx.driver.delete("d")
            begun = _begin(ctx.driver)
            there.run(_keep_house_later, ahead)
            _go_on(begun, MORE)
            for key, (_, data) in begun.items():
                ctx.expect(key, data + MORE)


def _keep_house_later(driver: CheckedDriver, ahead: timedelta) -> None:
    with later(driver, ahead), _as_far_as_it_can():
        _keep_house(driver)

"""Listing beside another process, which takes away, publishes or moves what is being listed, at each moment of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import Unpublished
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.moments import Meeting
from layerstore_conformance.kit.places import Places
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.remote import RemoteDriver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from layerstore.driver import Scanned, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

IDS = "processes"

MOMENTS: Final = {"quick": 1, "default": 6, "full": 200}
"""Moments that are tried, of the one step of a listing and of the other, for every child and every change."""

PATIENCE: Final = 0.2
"""Seconds for the other process; a listing that has a lock is not waited for any longer."""


class Child(NamedTuple):
    """What lies under ``d/m`` while it is listed."""

    name: str
    """As a listing yields it, if it does."""
    drafts: tuple[str, ...] = ()
    """Keys of which another process has a writer that has published nothing new."""
    objects: tuple[str, ...] = ()


CHILDREN: Final = {
    "an object": Child("d/m", objects=("d/m",)),
    "a prefix of an object": Child("d/m/", objects=("d/m/1",)),
    "a draft": Child("d/m", drafts=("d/m",)),
    "a prefix of drafts": Child("d/m/", drafts=("d/m/1", "d/m/2")),
    "a draft of an object": Child("d/m", drafts=("d/m",), objects=("d/m",)),
    "a prefix of a draft and an object": Child("d/m/", drafts=("d/m/1",), objects=("d/m/2",)),
}

Change = Callable[[CheckedDriver, Child, "list[Writer]"], None]


def _delete(driver: CheckedDriver, child: Child, writers: list[Writer]) -> None:
    del child, writers
    driver.delete("d/m")


def _discard(driver: CheckedDriver, child: Child, writers: list[Writer]) -> None:
    """Discard the writers, and open another one: a driver may tidy up only then."""
    del child
    for writer in writers:
        writer.discard()
    driver.open_writer("elsewhere/writer").discard()


def _publish(driver: CheckedDriver, child: Child, writers: list[Writer]) -> None:
    del driver, child
    for writer in writers:
        writer.flush()


def _move_over(driver: CheckedDriver, child: Child, writers: list[Writer]) -> None:
    del writers
    driver.move("elsewhere/source", (child.drafts or child.objects)[0])


def _move_away(driver: CheckedDriver, child: Child, writers: list[Writer]) -> None:
    del writers
    for key in child.objects:
        driver.move(key, f"elsewhere/{key}")


CHANGES: Final[dict[str, Change]] = {
    "deletes it": _delete,
    "discards its writers": _discard,
    "publishes it": _publish,
    "moves something over it": _move_over,
    "moves it away": _move_away,
}


@scenario(
    *("L2", "L4", "L5", "L6", "E1", "C3"),
    kills=("children-are-looked-up-once-more",),
    needs=("shared", "url"),
    profile="default",
)
def what_another_process_changes_is_listed_whole_or_not(ctx: Context) -> None:
    """At whatever moment of a listing another process deletes, publishes or moves a child, it is listed or it is not.

    If one request finds a child, and the next one what it is, the other process comes between them.
    """
    with Elsewhere(ctx) as there:
        other = CheckedDriver(RemoteDriver(ctx.open(), there), "there")
        for (name, child), (way, change) in product(CHILDREN.items(), CHANGES.items()):
            if (change is _move_away and not child.objects) or (change in {_publish, _discard} and not child.drafts):
                continue
            ctx.step(f"{name}, and another process {way}")
            for number in range(2):
                events = _listed(ctx, other, child, change, number, 1 << 60)
                for moment in ctx.sample(range(events), MOMENTS[ctx.profile]):
                    _listed(ctx, other, child, change, number, moment)


def _listed(ctx: Context, other: CheckedDriver, child: Child, change: Change, number: int, moment: int) -> int:
    """List while a child is changed, and return how many moments the step of this number has."""
    ctx.count("moments")
    for prefix in ("d", "elsewhere"):
        ctx.driver.delete(prefix)
    for key in ("d/a", "d/z", "elsewhere/source", *child.objects):
        ctx.driver.put(key, b"object")
    writers = [other.open_writer(key) for key in child.drafts]
    for writer in writers:
        writer.write(b"draft")
    names = ctx.driver.scan if moment % 2 else ctx.driver.list
    found: list[Scanned] = []
    listing = iter(names("d"))
    for _ in range(number):
        _take(listing, found)
    meeting = Meeting(lambda: change(other, child, writers), moment, Places(ctx.driver).are_entered, PATIENCE)
    meeting.of(lambda: _take(listing, found))
    found += listing
    for writer in writers:
        writer.discard()
    yielded = [each.name if isinstance(each, Unpublished) else each for each in found]
    assert yielded in (["d/a", "d/z"], ["d/a", child.name, "d/z"]), f"changed at event {moment} of a step: {found}"
    return meeting.events


def _take(listing: Iterator[Scanned], found: list[Scanned]) -> None:
    found.append(next(listing))

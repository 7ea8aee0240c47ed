"""Clearing away: what a discarded writer has left goes, though a call that would clear it away fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerstore import DriverError, NoSpaceError, Unpublished
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.interruption import Interruption
from layerstore_conformance.kit.small_disk import mount_small_disk
from layerstore_conformance.kit.system_calls import Failure
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "leaks"

PLACES: Final[dict[Profile, int]] = {"quick": 4, "default": 16, "full": 1000}
"""Places in each call at which it is disturbed."""

DISK: Final = 16 * MIB
"""Bytes of a disk that becomes full."""


def _open(driver: CheckedDriver, key: str) -> None:
    driver.open_writer(key).discard()


def _open_old(driver: CheckedDriver, key: str) -> None:
    del key
    driver.open_writer("d/old").discard()


def _put(driver: CheckedDriver, key: str) -> None:
    driver.put(key, b"put")


NEXT = Axis("call", {"a writer of a new object": _open, "a writer of an object": _open_old, "a put": _put})
"""Calls that may clear away what an earlier writer has left."""

DISTURBED = Axis("disturbed", {"by an interruption": Interruption, "by a failing system call": Failure})


@scenario(
    *("T4", "W7", "E4", "L6"),
    kills=("what-was-discarded-is-crossed-off-too-early",),
    axes=(NEXT, DISTURBED),
)
def what_a_disturbed_call_has_not_cleared_away_the_next_one_does(
    ctx: Context, call: Callable[[CheckedDriver, str], None], disturbed: type[Interruption | Failure]
) -> None:
    """What discarded writers took is given up, though a call that clears it away fails, or is interrupted anywhere.

    A driver that clears away late must try again: otherwise one error leaves a draft for as long as the store is there.
    A driver that leaves it to others, and tells of it, does so here, too.
    """
    ctx.driver.put("d/old", b"old")
    _take_and_discard(ctx.driver, "undisturbed", 2 * MIB)
    counting = disturbed(ctx.driver)
    with counting.lurking():
        call(ctx.driver, "d/next")
    if _told_after_more(ctx.driver, "undisturbed"):
        return
    drawn = ctx.sample(range(1, 1 + counting.places), PLACES[ctx.profile])
    ctx.count("disturbed calls", len(drawn))
    for place in drawn:
        _take_and_discard(ctx.driver, str(place), 2000)
        with disturbed(ctx.driver, place).lurking(), suppress(KeyboardInterrupt, DriverError):
            call(ctx.driver, f"d/next-{place}")
        told = _told_after_more(ctx.driver, str(place))
        assert not told, f"disturbed at place {place} of {counting.places}, {told} are still taken"


def _take_and_discard(driver: CheckedDriver, name: str, size: int) -> None:
    """Have writers of new objects write, one of them in two places, and discard them."""
    for kind in ("append", "jump", "nothing"):
        writer = driver.open_writer(f"d/{kind}-of-{name}")
        if kind != "nothing":
            writer.write(bytes(size))
        if kind == "jump":
            writer.seek(size // 2)
            writer.write(b"over")
        writer.discard()


def _told_after_more(driver: CheckedDriver, name: str) -> list[str]:
    """Have calls that nothing disturbs, and return which of the keys that those writers took a scan tells of."""
    for _ in range(2):
        _open(driver, "d/more")
        _put(driver, "d/put")
    told = [each.name for each in driver.scan("d") if isinstance(each, Unpublished)]
    return [each for each in told if each.endswith(f"-of-{name}")]


@scenario(
    *("T4", "W7", "E1", "L6"),
    kills=("what-was-discarded-is-crossed-off-too-early",),
    needs=("small_disk",),
    profile="default",
)
def what_a_full_disk_kept_from_being_cleared_away_goes_when_there_is_room(ctx: Context) -> None:
    """What discarded writers took is given up when a full disk has room again, and their bytes take no room."""
    with a_folder() as folder, Elsewhere(ctx, store_in(ctx, folder / "store")) as there:
        there.run(_mount, folder)
        undisturbed, told, free = there.run(_full_for_a_while, folder)
        assert undisturbed or not told, f"the disk was full for a while, and {told} are still taken"
        assert free > DISK // 3, f"{free} bytes are free of {DISK}, where a few objects of some bytes are"


def _mount(driver: CheckedDriver, directory: Path) -> None:
    del driver
    mount_small_disk(directory, DISK)
    (directory / "store").mkdir()


def _full_for_a_while(driver: CheckedDriver, directory: Path) -> tuple[list[str], list[str], int]:
    """Return what a scan tells of without a full disk and after one, and how many bytes are free in the end."""
    driver.put("d/old", b"old")
    _take_and_discard(driver, "undisturbed", 2000)
    undisturbed = _told_after_more(driver, "undisturbed")
    _take_and_discard(driver, "full", 3 * MIB // 2)
    ballast = directory / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1 << 12))
    for number in range(3):
        with suppress(NoSpaceError):
            _open(driver, f"d/{number}")
        with suppress(NoSpaceError):
            driver.put("d/put", bytes(MIB))
    ballast.unlink()
    told = _told_after_more(driver, "full")
    found = os.statvfs(directory)
    return undisturbed, told, found.f_bfree * found.f_frsize

"""Full: a store on a small disk of its own, which really becomes full, and then has room again."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from layerstore import NoSpaceError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.small_disk import mount_small_disk
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "faults"

DISK = 8 * MIB
"""Bytes of the disk."""

BALLAST = 6 * MIB
"""Bytes that something else has on the disk, and then gives back."""

PIECES = Axis("piece", {"3,000": 3000, "16 KiB": 16_384, "300,000": 300_000, "1 MiB": MIB})
"""Bytes that are stored at a time until there is no more room."""


@scenario(
    *("E1", "E4", "P1"),
    kills=("full-is-unavailable", "put-without-room-is-done"),
    rows=(160, 162),
    needs=("small_disk",),
    axes=(PIECES,),
    profile="default",
)
def a_full_disk_refuses_a_put_and_loses_nothing(ctx: Context, piece: int) -> None:
    """On a full disk a put raises ``NoSpaceError``, and what was there is there; with room again a put is done."""
    with a_folder() as folder, Elsewhere(ctx, store_in(ctx, folder / "store")) as there:
        there.run(_mount, folder)
        there.run(_put_until_full, folder, bulk("full", DISK, ctx.seed), piece)


@scenario(
    *("E1", "E4", "W2", "W6", "W8"),
    kills=("write-without-room-is-taken",),
    rows=(160, 162),
    needs=("small_disk",),
    axes=(PIECES,),
    profile="default",
)
def a_full_disk_refuses_a_writer_and_loses_nothing(ctx: Context, piece: int) -> None:
    """On a full disk a write or a flush raises ``NoSpaceError``; with room again all that was accepted is published."""
    with a_folder() as folder, Elsewhere(ctx, store_in(ctx, folder / "store")) as there:
        there.run(_mount, folder)
        there.run(_write_until_full, folder, bulk("full", 2 * DISK, ctx.seed), piece)


def _mount(driver: CheckedDriver, directory: Path) -> None:
    del driver
    mount_small_disk(directory, DISK)
    (directory / "store").mkdir()


def _ballast(directory: Path, size: int) -> None:
    """Have something else take that much room; 0 gives all of it back."""
    with (directory / "ballast").open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)


def _put_until_full(driver: CheckedDriver, directory: Path, data: bytes, piece: int) -> None:
    driver.put("d/old", b"old")
    _ballast(directory, BALLAST)
    count = 0
    try:
        for count in range(DISK // piece + 1):
            driver.put(f"d/{count:06}", data[count * piece : (count + 1) * piece])
        raise AssertionError(f"{count * piece} bytes were put on a disk of {DISK}")
    except NoSpaceError:
        pass
    with suppress(NoSpaceError):
        driver.put("d/old", data)
        raise AssertionError(f"{len(data)} bytes were put on a full disk")
    for _ in range(2):
        keys = [f"d/{number:06}" for number in range(count)]
        assert list(driver.list("d")) == [*keys, "d/old"], "a put that was refused has changed what there is"
        for number, key in enumerate(keys):
            assert driver.get(key, DISK) == data[number * piece : (number + 1) * piece], f"{key} is not as it was put"
        assert driver.get("d/old", DISK) == b"old", "a put that was refused has changed the object"
        _ballast(directory, 0)
    driver.put("d/old", b"put when there was room again")
    assert driver.get("d/old", DISK) == b"put when there was room again"
    driver.delete("d")


def _write_until_full(driver: CheckedDriver, directory: Path, data: bytes, piece: int) -> None:
    driver.put("d/old", b"old")
    driver.put("d/other", b"other")
    _ballast(directory, BALLAST)
    writer = driver.open_writer("d/old")
    with suppress(NoSpaceError):
        while writer.size <= DISK:
            writer.write(data[writer.size : writer.size + piece])
    accepted = writer.size
    flushed = _flushed(writer)
    assert accepted <= DISK or not flushed, f"{accepted} bytes were published on a disk of {DISK}"
    assert writer.size == accepted, f"size {writer.size} after a flush without room, and {accepted} before"
    if not flushed:
        assert driver.get("d/old", DISK) == b"old", "a flush that was refused has changed the object"
    assert driver.get("d/other", DISK) == b"other"
    _ballast(directory, 0)
    if accepted <= DISK - BALLAST:
        writer.flush()
        assert driver.get("d/old", 2 * DISK) == b"old" + data[3:accepted], "what was accepted is not published"
    writer.discard()
    driver.delete("d")


def _flushed(writer: Writer) -> bool:
    with suppress(NoSpaceError):
        writer.flush()
        return True
    return False


@scenario(
    *("T4", "E1", "W7"),
    kills=("drafts-of-refused-writes-stay",),
    rows=(160, 163),
    needs=("small_disk",),
    profile="default",
)
def what_a_full_disk_refused_takes_no_room(ctx: Context) -> None:
    """Writes, flushes and puts that found no room, again and again, leave no file, no bytes and no descriptor.

    Otherwise each retry makes a full disk fuller.
    """
    with a_folder() as folder, Elsewhere(ctx, store_in(ctx, folder / "store")) as there:
        there.run(_mount, folder)
        before, after = there.run(_refused_again_and_again, folder, bulk("full", 2 * DISK, ctx.seed))
        assert after[0] >= before[0] - MIB // 4, f"{before[0] - after[0]} bytes less are free after refusals"
        assert after[1] <= before[1] + REFUSALS // 2, f"{after[1] - before[1]} more descriptors are open after refusals"


REFUSALS = 12
"""Refusals of each kind, some before what is compared."""


def _refused_again_and_again(
    driver: CheckedDriver, directory: Path, data: bytes
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the free bytes and the open descriptors before and after."""
    driver.put("d/old", data[: 3 * MIB // 2])
    _ballast(directory, DISK - 5 * MIB // 2)
    _refused(driver, data)
    before = _free(directory), descriptors()
    for _ in range(REFUSALS):
        _refused(driver, data)
    assert driver.get("d/old", DISK) == data[: 3 * MIB // 2]
    return before, (_free(directory), descriptors())


def _refused(driver: CheckedDriver, data: bytes) -> None:
    with suppress(NoSpaceError):
        driver.put("d/new", data)
    for key, offset in (("d/old", 0), ("d/old", 3 * MIB // 2), ("d/new", 0)):
        with suppress(NoSpaceError), ExitStack() as end:
            writer = driver.open_writer(key)
            end.callback(writer.discard)
            writer.seek(offset)
            writer.write(data[:DISK])
            writer.flush()
            raise AssertionError(f"{DISK} bytes were written to a full disk")


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bfree * found.f_frsize

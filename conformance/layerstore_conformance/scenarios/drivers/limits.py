"""Limits: the system takes a part of what is written to a file, and no more, as a disk that becomes full."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.limited import limited
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "faults"

KEY = "d/key"

FAR = 3 * MIB
"""Where the writer goes on, in bytes: behind all that was refused."""

LIMITS = Axis("limit", {"5,000": 5000, "64 KiB": 65_536, "1,000,003": 1_000_003})
"""Bytes that a file may have for a moment: some of a write are taken, and the others refused."""

OBJECTS = Axis("object", {"100": 100, "4,900": 4900, "60,000": 60_000})
PLACES = Axis("place", {"at its end": "end", "from its start": "start", "behind a gap": "gap"})
NEXT = Axis("then", {"far behind": "far", "at its end": "end", "at its start": "start", "nothing": ""})
"""Where the writer writes a few bytes after the refusal, before it ends."""


@scenario(
    *("W2", "W3", "W4", "W8", "E1", "E4"),
    kills=("part-of-a-write-taken-for-all", "refused-write-shows-in-a-gap", "refused-write-makes-the-object-longer"),
    rows=(162, 164),
    needs=("shared", "url"),
    axes=(LIMITS, OBJECTS, PLACES, NEXT),
    profile="default",
)
def what_was_taken_in_part_is_whole_or_was_never_written(
    ctx: Context,
    limit: int,
    object: int,  # noqa: A002  (the axis's name)
    place: str,
    then: str,
) -> None:
    """A write that the system takes in part is stored whole, or raises; whatever comes next shows nothing of it.

    The limit of the size of a process's files is as a disk that is full; drivers that have no files do not meet it.
    """
    old, new = bulk("old", object, ctx.seed), bulk("new", 2 * MIB, ctx.seed)
    at = {"end": object, "start": 0, "gap": object + 1500}[place]
    ctx.driver.put(KEY, old)
    ctx.driver.put("d/beside", b"beside")
    with Elsewhere(ctx) as there:
        done, size = there.run(_write_within, KEY, limit, at, new)
        ctx.step(f"the write was {'stored' if done else 'refused'}")
        if not done:
            assert size == object, f"{size} bytes after a write that was refused, and {object} before"
            found = ctx.read(KEY)
            ctx.same(found, old, "before the next flush")
        there.run(_go_on, KEY, then)
    found = ctx.read(KEY)
    wanted = (old[:at].ljust(at, b"\0") + new) if done else old
    if not done and place == "start":  # each byte is the old one or the new one (W2)
        mixed = bytes(each if each in (one, two) else one for each, one, two in zip(found, old, new, strict=False))
        wanted = mixed[:object]
    ctx.same(found, _gone_on(wanted, then), "after a write that the system took in part")
    assert ctx.stored() == ["d/beside", KEY]


_held: list[Writer] = []
"""The writer, in the other process."""


def _write_within(driver: CheckedDriver, key: str, limit: int, at: int, data: bytes) -> tuple[bool, int]:
    """Write while files have a limit; return whether that was done, and the writer's size."""
    writer = driver.open_writer(key)
    _held[:] = [writer]
    try:
        with limited("RLIMIT_FSIZE", limit):
            writer.seek(at)
            writer.write(data)
    except DriverError:
        return False, writer.size
    return True, writer.size


def _go_on(driver: CheckedDriver, key: str, then: str = "far") -> None:
    """Write a few bytes somewhere, and publish."""
    del driver, key
    (writer,) = _held
    writer.seek({"far": FAR, "end": writer.size, "start": 0, "": 0}[then])
    writer.write(then.encode())
    writer.close()


def _gone_on(data: bytes, then: str = "far") -> bytes:
    """Return the object's bytes after that."""
    if then == "far":
        return data.ljust(FAR, b"\0") + b"far"
    return b"start" + data[len(b"start") :] if then == "start" else data + then.encode()


PIECES = Axis("piece", {"1,000": 1000, "64 KiB": 65_536, "256 KiB + 1": 262_145})


@scenario(
    *("W2", "W3", "W4", "E1", "E4"),
    kills=("refused-write-shows-in-a-gap", "refused-write-is-kept"),
    rows=(162, 164),
    needs=("shared", "url"),
    axes=(LIMITS, PIECES, NEXT),
    profile="default",
)
def of_many_writes_the_refused_one_was_never_written(ctx: Context, limit: int, piece: int, then: str) -> None:
    """If one of many small writes is refused, those before it are kept, and it shows nowhere.

    A driver that gathers small writes learns late that there is no room, when it has taken the last of them.
    """
    data = bulk("pieces", 2 * MIB, ctx.seed)
    with Elsewhere(ctx) as there:
        accepted, size = there.run(_write_pieces, KEY, limit, data, piece)
        ctx.step(f"{accepted} bytes were accepted")
        assert size == accepted, f"size {size} after {accepted} bytes were accepted"
        there.run(_go_on, KEY, then)
    ctx.same(ctx.read(KEY), _gone_on(data[:accepted], then), "after a write that was refused")


def _write_pieces(driver: CheckedDriver, key: str, limit: int, data: bytes, piece: int) -> tuple[int, int]:
    """Write piece by piece while files have a limit; return how many bytes were accepted, and the writer's size."""
    writer = driver.open_writer(key)
    _held[:] = [writer]
    accepted = 0
    with suppress(DriverError), limited("RLIMIT_FSIZE", limit):
        for start in range(0, len(data), piece):
            accepted += writer.write(data[start : start + piece])
    return accepted, writer.size


@scenario(
    *("W8", "W6", "E4"),
    kills=("flush-forgets-what-it-stages",),
    rows=(162, 164),
    needs=("shared", "url"),
    axes=(LIMITS, OBJECTS),
    profile="default",
)
def a_flush_for_which_there_was_no_room_may_be_tried_again(ctx: Context, limit: int, object: int) -> None:  # noqa: A002  (the axis's name)
    """If a flush fails because there is no room, nothing of it is seen, and the next one publishes every byte."""
    old, new = bulk("old", object, ctx.seed), bulk("new", 600_000, ctx.seed)
    ctx.driver.put(KEY, old)
    with Elsewhere(ctx) as there:
        flushed = there.run(_flush_within, KEY, limit, new)
        ctx.step(f"the flush {'succeeded' if flushed else 'failed'}")
        ctx.same(ctx.read(KEY), old + new if flushed else old, "after the flush")
        there.run(_go_on, KEY)
    ctx.same(ctx.read(KEY), _gone_on(old + new), "after the next flush")


def _flush_within(driver: CheckedDriver, key: str, limit: int, data: bytes) -> bool:
    """Write, and flush while files have a limit; return whether that was done."""
    writer = driver.open_writer(key)
    _held[:] = [writer]
    writer.write(data)
    try:
        with limited("RLIMIT_FSIZE", limit):
            writer.flush()
    except DriverError:
        return False
    return True


@scenario(
    *("W2", "W4", "E1", "E4"), kills=("refused-write-shows-in-a-gap",), rows=(164,), needs=("url",), without=("shared",)
)
def what_memory_had_no_room_for_was_never_written(ctx: Context) -> None:
    """If there is no memory for a write, it is refused, and a later gap shows nothing of it.

    Of drivers that keep their objects in their process's memory.
    """
    with Elsewhere(ctx) as there:
        found = there.run(_write_beyond_memory, KEY)
    if found:
        ctx.same(found, b"first".ljust(40 * MIB, b"\0") + b"far", "after a write for which there was no memory")


def _write_beyond_memory(driver: CheckedDriver, key: str) -> bytes:
    """Write while the process may grow by little, then far behind; return the object, of no bytes if there is none."""
    writer, data = driver.open_writer(key), bytearray(b"no" * (16 * MIB))
    writer.write(b"first")
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    with limited("RLIMIT_AS", used + 20 * MIB), suppress(DriverError, MemoryError):
        writer.write(data)
    size = writer.size
    try:
        writer.seek(40 * MIB)
        writer.write(b"far")
        writer.flush()
    except DriverError:  # all that it had is lost, and nothing of it is seen
        return b"" if driver.find(key) is None else driver.get(key, 64 * MIB)
    found = driver.get(key, 64 * MIB)
    return found if size == len(b"first") else found[:5].ljust(40 * MIB, b"\0") + found[40 * MIB :]

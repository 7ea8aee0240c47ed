"""Limits: the system takes a part of what is written to a file, and no more, as a disk that becomes full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
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


@scenario(
    *("W2", "W3", "W4", "W8", "E1", "E4"),
    kills=("part-of-a-write-taken-for-all", "refused-write-shows-in-a-gap"),
    rows=(162, 164),
    needs=("shared", "url"),
    axes=(LIMITS, OBJECTS, PLACES),
)
def what_was_taken_in_part_is_whole_or_was_never_written(ctx: Context, limit: int, object: int, place: str) -> None:  # noqa: A002  (the axis's name)
    """A write that the system takes in part is stored whole, or raises; later gaps show nothing of it, nor do others.

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
        there.run(_go_on, KEY)
    found = ctx.read(KEY)
    wanted = (old[:at].ljust(at, b"\0") + new) if done else old
    if not done and place == "start":  # each byte is the old one or the new one (W2)
        mixed = bytes(each if each in (one, two) else one for each, one, two in zip(found, old, new, strict=False))
        wanted = mixed[:object]
    ctx.same(found, wanted.ljust(FAR, b"\0") + b"far", "after a write that the system took in part")
    assert ctx.stored() == ["d/beside", KEY]


_held: list[Writer] = []
"""The writer, in the other process."""


def _write_within(driver: CheckedDriver, key: str, limit: int, at: int, data: bytes) -> tuple[bool, int]:
    """Write while files have a limit; return whether that was done, and the writer's size."""
    import resource

    writer = driver.open_writer(key)
    _held[:] = [writer]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        writer.seek(at)
        writer.write(data)
    except DriverError:
        return False, writer.size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return True, writer.size


def _go_on(driver: CheckedDriver, key: str) -> None:
    """Write far behind, and publish."""
    del driver, key
    (writer,) = _held
    writer.seek(FAR)
    writer.write(b"far")
    writer.close()

"""Taken: keys that writers have taken and not published, and what a scan tells of when."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from layerstore import Unpublished
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from datetime import datetime

    from layerstore.driver import Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"
IDS = "times"

KEY: Final = "d/new"

COARSE: Final = 2.5
"""Seconds after which a time must have gone on: the coarsest clock of a common backend counts two."""

AFTER: Final = timedelta(milliseconds=20)
"""Later than that, what is touched has another time, unless the clock is coarser."""

Again = Callable[[CheckedDriver, "Writer"], object]
"""Does something before a key is taken again; takes the writer that has it."""


def _put_and_delete(driver: CheckedDriver, _: Writer) -> None:
    driver.put(KEY, b"put")
    driver.delete(KEY)


def _move_over_and_away(driver: CheckedDriver, _: Writer) -> None:
    driver.put("source", b"moved")
    driver.move("source", KEY)
    driver.move(KEY, "away")


def _flush_and_delete(driver: CheckedDriver, writer: Writer) -> None:
    writer.flush()
    driver.delete(KEY)


BEFORE: Final[dict[str, Again]] = {
    "nothing": lambda driver, writer: None,
    "a discard": lambda driver, writer: writer.discard(),
    "a write": lambda driver, writer: writer.write(b"more"),
    "another writer discarded": lambda driver, writer: driver.open_writer(KEY).discard(),
    "a delete": lambda driver, writer: driver.delete(KEY),
    "a delete of the prefix": lambda driver, writer: driver.delete("d"),
    "a flush and a delete": _flush_and_delete,
    "a put and a delete": _put_and_delete,
    "a move over and away": _move_over_and_away,
}
"""What comes between two takings."""

WRITTEN: Final = Axis("written", {"nothing": b"", "a little": bytes(700), "3 MiB": bytes(3 << 20)})
"""What each writer writes, and does not flush."""


def _told(ctx: Context) -> list[datetime]:
    """Return when the key was taken, as scans of two prefixes tell; nothing if they do not tell.

    Two scans may differ: a draft may be on its way.
    """
    times = []
    for prefix, name in (("d", KEY), ("", "d/")):
        found = [each for each in ctx.open().scan(prefix) if isinstance(each, Unpublished) and each.name == name]
        assert len(found) < 2, f"{name} is told {len(found)} times"
        times += [each.modified for each in found]
    return times


@scenario(
    *("L6", "F1"),
    kills=("taken-is-of-the-first-taking", "taken-is-of-the-first-taking-until-a-delete"),
    rows=(69, 73),
    axes=(Axis("before", BEFORE), WRITTEN),
)
def a_key_that_is_taken_again_tells_of_the_last_time(ctx: Context, before: Again, written: bytes) -> None:
    """If a scan tells of a key that was taken again and again, its time is that of the last taking, in whatever way.

    A tool that removes what dead writers left goes by it, and would remove what is being written.
    """
    ctx.driver.open_writer("beside/published").close()
    last = ctx.driver.open_writer(KEY)
    last.write(written)
    first, began = _told(ctx), time.monotonic()
    now = first
    while first and now and min(now) <= max(first) and time.monotonic() - began < COARSE:
        before(ctx.open(), last)
        last.discard()
        last = ctx.open().open_writer(KEY)
        last.write(written)
        now = _told(ctx)
    last.discard()
    assert not (first and now) or min(now) > max(first), f"taken for {COARSE} seconds, and told of {min(now)} still"


@scenario("L6", kills=("taken-is-of-the-last-write",), rows=(69, 73))
def a_key_that_is_written_to_tells_of_its_taking(ctx: Context) -> None:
    """If a scan tells of a key that a writer has taken, its time stays, however much is written and not flushed.

    What a dead writer has left would be young for as long as its files are touched.
    """
    writer = ctx.driver.open_writer(KEY)
    writer.write(bytes(MIB))
    first, began = _told(ctx), time.monotonic()
    ctx.driver.put("clock", b"0")
    while first and ctx.driver.stat("clock").modified <= max(first) + AFTER and time.monotonic() - began < COARSE:
        ctx.driver.put("clock", b"1")
    writer.write(bytes(6 * MIB))
    now = _told(ctx)
    writer.discard()
    assert not (first and now) or max(now) <= max(first), f"taken at {max(first)}, and told of {max(now)} by now"

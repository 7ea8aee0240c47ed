"""Times: ``modified`` follows every change, and is UTC in every time zone."""

from __future__ import annotations

import os
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore import Unpublished
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.zone import in_zone
from layerstore_conformance.steps.points import ZONES
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

COARSE = 2.5
"""Seconds after which a time must have gone on: the coarsest clock of a common backend counts two."""


TURN = 1.05
"""Seconds in which the fraction of a second goes from many leading zeros to none, wherever it begins."""


def _put(ctx: Context) -> None:
    ctx.driver.put("key", ctx.payload("again").read(700))


def _append(ctx: Context) -> None:
    with ctx.driver.open_writer("key") as writer:
        writer.write(b"more")


def _overwrite(ctx: Context) -> None:
    with ctx.driver.open_writer("key") as writer:
        writer.seek(5)
        writer.write(datetime.now(UTC).isoformat().encode())


def _make_anew(ctx: Context) -> None:
    ctx.driver.delete("key")
    ctx.driver.put("key", ctx.payload("anew").read(700))


def _move_over(ctx: Context) -> None:
    ctx.driver.put("source", ctx.payload("moved").read(700))
    ctx.driver.move("source", "key")


CHANGES: dict[str, Callable[[Context], None]] = {
    "put": _put,
    "append": _append,
    "overwrite": _overwrite,
    "made anew": _make_anew,
    "moved over": _move_over,
}


@scenario("S1", kills=("modified-is-of-creation",), rows=(73,), axes=(Axis("change", CHANGES),))
def modified_goes_on_with_every_change(ctx: Context, change: Callable[[Context], None]) -> None:
    """After a change ``modified`` is later than before, as soon as the backend's clock has gone on.

    If it stayed that of the creation, an upload that is being written would be purged as abandoned.
    """
    ctx.driver.put("key", ctx.payload("first").read(700))
    before, began = ctx.driver.stat("key").modified, time.monotonic()
    after = before
    while after <= before and time.monotonic() - began < COARSE:
        change(ctx)
        after = ctx.open().stat("key").modified
    assert after > before, f"changed for {COARSE} seconds, and modified is {after.isoformat()} still"


@scenario("S1", kills=("fraction-without-leading-zeros", "modified-is-when-first-seen"), rows=(73,))
def modified_never_goes_back(ctx: Context) -> None:
    """Of changes that follow each other through more than a second, none is earlier than the one before.

    A fraction of a second that is written without its leading zeros is ten or a hundred times too large. An object that
    nobody has looked at is no younger for it.
    """
    ctx.driver.put("unseen", b"0")
    ctx.driver.put("key", b"0")
    before, began = ctx.driver.stat("key").modified, time.monotonic()
    while time.monotonic() - began < TURN:
        ctx.driver.put("key", b"again")
        found = ctx.driver.stat("key").modified
        assert found >= before, f"{found.isoformat()} was stored after {before.isoformat()}"
        before = found
    unseen = ctx.driver.stat("unseen").modified
    assert unseen < before, f"{unseen.isoformat()} was stored {TURN} seconds before {before.isoformat()}"


def _clock_goes_on(ctx: Context) -> datetime:
    """Put objects until the backend's clock has gone on since the first of them; return its time then."""
    ctx.driver.put("clock", b"0")
    first, began = ctx.driver.stat("clock").modified, time.monotonic()
    now = first
    while now <= first:
        assert time.monotonic() - began < COARSE, f"put for {COARSE} seconds, and modified is {now.isoformat()} still"
        ctx.driver.put("clock", b"1")
        now = ctx.driver.stat("clock").modified
    return now


@scenario("S1", "W6", kills=("modified-is-of-the-first-write", "modified-is-of-the-opening"), rows=(73,))
def modified_is_when_it_was_published(ctx: Context) -> None:
    """After a flush ``modified`` is the flush's time, however long ago the writer was opened, and wrote.

    An upload whose flush looks older than it is would be purged as abandoned.
    """
    ctx.driver.put("old", ctx.payload("old").read(700))
    writers = {key: ctx.open().open_writer(key) for key in ("old", "new", "empty")}
    opened = _clock_goes_on(ctx)
    for turn in range(2):
        for key in ("old", "new"):
            writers[key].write(ctx.payload(key).read(700))
        now = _clock_goes_on(ctx)
        for key, writer in writers.items():
            writer.flush()
            since = opened if key == "empty" else now
            found = ctx.open().stat(key).modified
            assert found >= since, f"{key}: publication {turn + 1} was after {since}, and modified is {found}"
    for writer in writers.values():
        writer.close()


DATES = Axis(
    "seconds",
    {
        "before year 1": -(10**11),
        "1653": -(10**10),
        "1969": -1,
        "1970": 0,
        "2038": 2**31,
        "2106": 2**32 + 1,
        "2286": 10**10,
        "after year 9999": 253_402_300_800,
    },
)
"""Seconds since 1970 that a file may bear, where the file system has them; else it is the nearest that it has."""


@scenario("S1", "E1", kills=("times-are-short",), rows=(73,), needs=("traced", "url"), axes=(DATES,))
def objects_of_any_time_can_be_used(ctx: Context, seconds: int) -> None:
    """If the store's files bear a time that few calendars have, objects are told of, read, written and moved as ever.

    A copy of a disk, or a clock that stood still, leaves such times, and a store that cannot tell them is lost.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver:
            for key in ("d/one", "d/two"):
                driver.put(key, b"old")
        for path in folder.rglob("*"):
            if path.is_file():
                os.utime(path, (seconds, seconds))
        with closing(ctx.at(opens)) as driver:
            assert list(driver.list("d")) == ["d/one", "d/two"]
            found = driver.stat("d/one")
            assert found.size == 3, f"size {found.size} instead of 3"
            assert found.modified.utcoffset() == timedelta(0), f"{found.modified} is not in UTC"
            with driver.open_writer("d/one") as writer:
                assert writer.version == found.version, "the writer has another version"
                writer.write(b", and new")
            assert driver.get("d/one", 100) == b"old, and new"
            driver.move("d/two", "d/moved", version=driver.stat("d/two").version)
            assert driver.get("d/moved", 100) == b"old"


@scenario(
    "S1",
    kills=("local-time-of-its-zone", "local-time-called-utc", "modified-in-local-time"),
    rows=(69, 73),
    axes=(ZONES,),
)
def modified_is_utc_in_every_time_zone(ctx: Context, zone: str) -> None:
    """In any time zone ``modified`` is the present time, in UTC, by a put and by a flush, and of uploads and layers."""
    with in_zone(zone):
        ctx.driver.put("put", b"now")
        with ctx.driver.open_writer("written") as writer:
            writer.write(b"now")
        for key in ("put", "written"):
            found, now = ctx.open().stat(key).modified, datetime.now(UTC)
            assert found.utcoffset() == timedelta(0), f"{found.isoformat()} is not in UTC"
            assert abs(now - found) < timedelta(minutes=15), f"stored at {now.isoformat()}: {found.isoformat()}"
        upload = ctx.service().upload("a")
        upload.close()
        (begun,) = [info.started_at for info in ctx.service().uploads("a")]
        assert abs(datetime.now(UTC) - begun) < timedelta(minutes=15), f"begun just now: {begun.isoformat()}"


@scenario(
    *("L6", "S1"),
    kills=("taken-in-local-time", "taken-without-a-zone", "taken-is-unknown"),
    rows=(69, 73),
    axes=(ZONES,),
)
def what_is_not_published_tells_when_it_was_taken(ctx: Context, zone: str) -> None:
    """If a scan tells of a key that a writer has taken, its time is the present time, aware, and UTC in every zone.

    A tool that removes what dead writers left goes by it: hours too early, it would remove what is being written.
    """
    with in_zone(zone):
        writers = [ctx.driver.open_writer(key) for key in ("d/new", "d/e/deeper", "new")]
        for writer in writers:
            writer.write(ctx.payload("unpublished").read(700))
        for prefix in ("", "d", "d/e"):
            for found in ctx.open().scan(prefix):
                assert isinstance(found, Unpublished), f"{found!r} was found where nothing is published"
                _is_of_now(found)
        writers[0].flush()
        told = [found.name for found in ctx.open().scan("d") if isinstance(found, Unpublished)]
        assert "d/new" not in told, "what was published is told as not published"
        for writer in writers:
            writer.discard()


def _is_of_now(found: Unpublished) -> None:
    name, taken = found.name, found.modified
    assert name in {"new", "d/", "d/new", "d/e/", "d/e/deeper"}, f"{name!r} was taken by no writer"
    assert taken.utcoffset() == timedelta(0), f"{name} was taken at {taken.isoformat()}, which is not in UTC"
    now = datetime.now(UTC)
    assert abs(now - taken) < timedelta(minutes=15), f"{name} was taken at {taken.isoformat()}; it is {now.isoformat()}"

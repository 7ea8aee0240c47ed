"""Long lives: tens of thousands of changes, readers and refused calls wear nothing out, and nothing runs over."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import FencedError, InvalidOffsetError, PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

FLUSHES: Final = (1060, 4200, 65_600)
"""More than 10, 12 and 16 bits can number. Always the first, and the others if they take a few seconds."""

READERS: Final = (300, 1100, 4200)
"""Opened one after the other; likewise."""

REFUSALS: Final = 1060
"""Calls of each kind: a table or a pool has room for 1,024."""

SECONDS: Final = 4
"""Which all turns may take, except in the full profile."""


def _turns(ctx: Context, counts: Sequence[int]) -> Iterator[int]:
    """Count the turns up to the largest of the counts that the store has time for; at least to the first."""
    began, done = time.monotonic(), 0
    for most in map(ctx.size, counts):
        if ctx.profile != "full" and (time.monotonic() - began) * most > SECONDS * done > 0:
            break
        while done < most:
            yield done
            done += 1
    ctx.count("turns of long lives", done)


@scenario(*("S2", "W6"), kills=("version-wraps-late",), rows=(74,), profile="default")
def thousands_of_flushes_make_as_many_versions(ctx: Context) -> None:
    """Thousands of flushes of one object, tens of thousands if the store is fast, each make another version.

    A number of 16 bits begins anew; then what was saved of an old version is taken for the new one's.
    """
    versions: set[str | None] = set()
    with ctx.driver.open_writer("key") as writer:
        writer.write(b"0")
        for number in _turns(ctx, FLUSHES):
            writer.seek(0)
            writer.write(b"%d" % number)
            writer.flush()
            assert writer.version not in versions, f"flush {number} made a version that was there before"
            versions.add(writer.version)


@scenario(*("R4", "T2"), kills=("so-many-readers-later",), rows=(42,), profile="default")
def a_reader_outlives_hundreds_of_others(ctx: Context) -> None:
    """A reader and a writer go on as before after hundreds of readers, of a new version each, were opened and closed.

    Thousands, if the store is fast: a table with a place for so many gives the oldest one's away.
    """
    data = ctx.payload("read").read(3 << 20)
    ctx.driver.put("d/read", data)
    with ctx.driver.open_reader("d/read") as reader, ctx.driver.open_writer("d/written") as writer:
        assert reader.read(10) == data[:10]
        writer.write(b"written")
        for number in _turns(ctx, READERS):
            key = ("d/one", "d/other")[number % 2]
            ctx.driver.put(key, b"%d" % number)
            with ctx.driver.open_reader(key) as another:
                assert another.readall() == b"%d" % number
        reader.seek(2 << 20)  # what nobody has read ahead
        ctx.same(reader.readall(), data[2 << 20 :], "read after all others")
        writer.flush()
    ctx.expect("d/written", b"written")


@scenario(*("T2", "E4"), kills=("refusals-take-slots",), rows=(127,), profile="default")
def a_thousand_refused_calls_take_nothing_away(ctx: Context) -> None:
    """After more than a thousand refused calls of each kind, every call is done as before."""
    driver, count = ctx.driver, ctx.size(REFUSALS)
    driver.put("d/key", b"the object")
    for kind, call in (
        (PathNotFoundError, lambda: driver.open_reader("d/missing")),
        (PathNotFoundError, lambda: driver.stat("d/missing")),
        (PathNotFoundError, lambda: driver.move("d/missing", "d/moved")),
        (InvalidOffsetError, lambda: driver.open_reader("d/key", 100)),
        (FencedError, lambda: driver.move("d/key", "d/moved", version="another")),
    ):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(_expect_refusal, kind, call), range(count)))
    with driver.open_reader("d/key", 4) as reader, driver.open_writer("d/key") as writer:
        assert reader.readall() == b"object"
        writer.write(b", and more")
    driver.move("d/key", "d/moved", version=driver.stat("d/key").version)
    ctx.expect("d/moved", b"the object, and more")


def _expect_refusal(kind: type[Exception], call: Callable[[], object], _number: int) -> None:
    with refused(kind):
        call()

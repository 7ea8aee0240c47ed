"""Counts: any number of entries, writes, flushes, versions and handles; what is cached, paged or numbered runs over."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from layerstore import FencedError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

MOST: Final = 5303
"""Entries: more than five of the largest pages, also when one in twenty was deleted."""

COUNTS: Final = Axis("count", {"1": 1, "2": 2, "100": 100, "101": 101, "257": 257})
"""Entries, of listings that are repeated and changed meanwhile."""


def _put(ctx: Context, keys: Iterable[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: ctx.driver.put(key, key.encode()), keys))


def _expect_bytes(ctx: Context, keys: Sequence[str]) -> None:
    """Check that each key has its own bytes."""
    with ThreadPoolExecutor(8) as pool:
        for key, found in zip(keys, pool.map(lambda key: ctx.driver.get(key, 100), keys), strict=True):
            ctx.same(found, key.encode(), key)


def _expect(found: Sequence[str], wanted: Sequence[str], what: str) -> None:
    missing, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    said = f"{len(found)} of {len(wanted)}; missing: {missing[:3]}; too many: {more[:3]}"
    assert list(found) == list(wanted), f"{what}: {said}"


@scenario(
    *("L4", "L1", "L2", "D1"),
    kills=(
        *("listing-loses-the-nth", "listing-capped-at", "delete-capped-at", "pages-by-position"),
        *("prefix-again-for-each-page", "keys-hashed"),
    ),
    rows=(82, 85, 92, 113),
    profile="default",
)
def thousands_of_entries_are_listed_while_others_come_and_go(ctx: Context) -> None:
    """Thousands of keys and prefixes are listed whole, in order, while every other one is deleted as it is passed.

    A listing that goes on by its position, and not by a name, misses one entry for each that went.
    """
    count = ctx.size(MOST)
    keys = [f"many/{number:05}" if number % 10 else f"many/{number:05}/below" for number in range(count)]
    shown = [key.removesuffix("below") for key in keys]
    _put(ctx, keys)
    driver = ctx.open()
    _expect(list(driver.list("many")), shown, "listed")
    _expect(list(driver.list("")), ["many/"], "listed above them")
    _expect_bytes(ctx, keys[::3])
    found = []
    for child in driver.list("many"):
        found.append(child)
        if len(found) % 20 == 1:  # in reach of a page of any size
            ctx.driver.delete(child.rstrip("/"))
        if len(found) % 100 == 1:
            ctx.driver.put(f"{child.rstrip('/')}-", b"came")
    stayed = [child for number, child in enumerate(shown) if number % 20]
    _expect([child for child in found if child in set(stayed)], stayed, "listed while others came and went")
    ctx.driver.delete("many")
    left = ctx.stored()
    assert not left, f"{len(left)} left by a delete of more than {count}, {left[:2]}"


@scenario(*("T2", "F3"), kills=("fences-of-so-many-writers",), rows=(119,), profile="default")
def a_writer_outlives_any_number_of_writers_of_other_keys(ctx: Context) -> None:
    """A writer publishes although a thousand others were opened since, each on a key of its own."""
    with ctx.driver.open_writer("first") as writer:
        writer.write(b"first")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: ctx.driver.open_writer(f"d/{number}").discard(), range(ctx.size(1100))))
        writer.flush()
    ctx.expect("first", b"first")


@scenario(
    *("L1", "L4", "L5"),
    kills=("large-listing-cached", "list-pages-by-number"),
    rows=(85, 90, 93),
    axes=(COUNTS,),
)
def a_listing_of_any_length_shows_what_was_done_last(ctx: Context, count: int) -> None:
    """A listing of any length shows the last change by any handle, and stays right while every entry is deleted."""
    here, there = ctx.driver, ctx.open()
    keys = [f"d/{number:04}" for number in range(count)]
    _put(ctx, keys)
    for driver in (here, there):
        _expect(list(driver.list("d")), keys, "listed")
    there.put("d/0000-new", b"new")
    here.delete(keys[-1])
    wanted = sorted({*keys[:-1], "d/0000-new"})
    for driver in (here, there, ctx.open()):
        _expect(list(driver.list("d")), wanted, "listed after a put and a delete")
    went = []
    for child in here.list("d"):
        there.delete(child)
        went.append(child)
    _expect(went, wanted, "listed while each was deleted")
    assert list(here.list("d")) == list(there.list("d")) == [], "listed, and all was deleted"


@scenario(
    *("S2", "S1", "P1", "W6"),
    kills=("version-wraps", "version-never-changes", "nth-put-lost"),
    rows=(74, 91),
)
def hundreds_of_changes_make_hundreds_of_versions(ctx: Context) -> None:
    """Every one of hundreds of puts, flushes, moves and re-creations of one key is there, at a version of its own."""
    versions, count = list[str](), ctx.size(300)
    for number in range(count):
        data = b"%06d" % number
        kind = number % 5
        if kind == 0:
            ctx.driver.delete("key")
        if kind == 1:
            with ctx.driver.open_writer("key") as writer:
                writer.seek(0)
                writer.write(data)
        elif kind == 2:
            ctx.driver.put("source", data)
            ctx.driver.move("source", "key")
        else:
            ctx.driver.put("key", data)
        versions.append(ctx.driver.stat("key").version)
        ctx.same(ctx.driver.get("key", 100), data, f"after change {number}")
    twice = sorted({each for each in versions if versions.count(each) > 1})
    assert not twice, f"versions came back: {twice[:5]}"


@scenario(
    *("W2", "W3", "W6"),
    kills=("nth-write-lost", "every-hundredth-write-lost", "nth-flush-lost"),
    rows=(58,),
)
def thousands_of_writes_are_all_kept(ctx: Context) -> None:
    """Thousands of writes by one writer, some in place and most at the end, and hundreds of flushes, are all kept."""
    choose, model = random.Random(ctx.seed), bytearray()
    with ctx.driver.open_writer("key") as writer:
        for number in range(ctx.size(5500)):
            at = choose.randrange(len(model)) if number % 7 == 6 else len(model)
            data = b"<%d>" % number
            writer.seek(at)
            writer.write(data)
            model[at : at + len(data)] = data
            if number % 5 == 0 and number < 1400:
                writer.flush()
                assert ctx.driver.stat("key").size == len(model), f"size after flush {number // 5}"
    ctx.expect("key", bytes(model))


@scenario(
    *("F1", "F3", "T2"),
    kills=("fencing-forgets", "fenced-once-only", "handles-limited"),
    rows=(120, 127),
)
def of_many_writers_of_a_key_the_last_one_publishes(ctx: Context) -> None:
    """Of dozens of writers of one key each but the last is fenced, and stays so, however often it tries."""
    ctx.driver.put("key", b"before")
    drivers = [ctx.driver, ctx.open()]
    writers = [drivers[number % 2].open_writer("key") for number in range(ctx.size(70))]
    for turn, writer in enumerate([*writers[:-1], *writers[:3]]):
        if turn % 3 == 0 and turn < len(writers):
            try:
                writer.write(b"fenced")
            except FencedError:
                ctx.step("refused at the write")
        for _ in range(3):
            with refused(FencedError):
                writer.flush()
    writers[-1].write(b", after")
    writers[-1].flush()
    for writer in writers:
        writer.discard()
    ctx.expect("key", b"before, after")


@scenario(*("T2", "R4"), kills=("handles-limited", "readers-limited", "reader-ignores-its-offset"), rows=(117, 127))
def many_readers_keep_their_places(ctx: Context) -> None:
    """More than a hundred readers of several objects, in turns, each read on from their own places."""
    data = {key: ctx.payload(key).read(5000) for key in ("a", "b", "c")}
    for key, content in data.items():
        ctx.driver.put(key, content)
    with ctx.handles():
        readers = [(key, ctx.driver.open_reader(key, number)) for number in range(52) for key in data]
        found = dict.fromkeys(range(len(readers)), b"")
        for turn in range(3):
            for number, (_, reader) in enumerate(readers):
                found[number] += reader.read(100 + turn) or b""
        for number, (key, reader) in enumerate(readers):
            at = number // 3
            ctx.same(found[number], data[key][at : at + 303], f"{key} from {at}, in three parts")
            reader.close()

"""Names: long keys, every first character, and names that a driver might use for itself, to every method."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from layerstore import FencedError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.keys import ROOT
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.points import GRAMMAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

FIRST: Final = GRAMMAR.replace(".", "")
"""Characters that a segment may begin with."""

OWN: Final = (
    *("draft", "data", "lock", "tmp", "temp", "part", "partial", "upload", "uploading", "new", "old", "swp", "bak"),
    *("orig", "json", "meta", "attrs", "info", "version", "v1", "0", "1", "log", "wal", "shm", "journal", "stage"),
)
"""Words that a driver may add to a key, for what it keeps of it."""


def _put(driver: CheckedDriver, keys: Iterable[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: driver.put(key, key.encode()), keys))


@contextmanager
def _longest(ctx: Context) -> Iterator[tuple[CheckedDriver, str]]:
    """Yield a driver without the scenario's prefix, and a key of 998 bytes at its top."""
    driver, top = ctx.bare(), uuid.uuid4().hex
    try:
        yield driver, f"{top}/{'/'.join(['k' * 255] * 3)}/{'k' * (998 - 33 - 3 * 256)}"
    finally:
        driver.delete(top)


@scenario(*("K1", "K3", "M1", "D1", "L1"), kills=("keys-cut-by-a-call",), rows=(28, 80))
def the_longest_keys_are_moved_listed_and_deleted(ctx: Context) -> None:
    """Keys of 1,000 bytes that differ in the last one are moved, listed, scanned and deleted, each for itself.

    A method that takes less of a key than the others does it to another object, or to none.
    """
    with _longest(ctx) as (driver, longest):
        below, beside = [f"{longest}/{last}" for last in "ab"], [f"{longest}k{last}" for last in "ab"]
        _put(driver, [below[0], beside[0]])
        driver.move(below[0], below[1])
        driver.move(beside[0], beside[1])
        above = longest.rpartition("/")[0]
        for prefix, wanted in ((longest, [below[1]]), (above, [f"{longest}/", beside[1]]), (longest[:-1], [])):
            for found in (list(driver.list(prefix)), list(driver.scan(prefix))):
                assert found == wanted, f"{len(found)} instead of {len(wanted)} below {len(prefix)} bytes"
        _put(driver, [below[0], beside[0]])
        driver.delete(beside[1])
        driver.delete(below[0])
        left = [*driver.list(longest), *driver.list(above)]
        assert left == [below[1], f"{longest}/", beside[0]], f"{len(left)} left, or others than wanted"
        driver.delete(longest)
        assert list(driver.list(above)) == [beside[0]], "a prefix of 998 bytes was not deleted, or more was"
        ctx.same(driver.get(beside[0], 2000), beside[0].encode(), "a key of 1,000 bytes")


def _of_length(length: int) -> Callable[[str], str]:
    """Return what makes a key of so many bytes below a top one."""
    return lambda top: f"{top}/{'/'.join(['k' * 249] * 4)}"[:length]


def _of_segments(number: int) -> Callable[[str], str]:
    return lambda top: f"{top}/{'/'.join(['key'] * (number - 1))}"


LONG: Final = Axis(
    "key",
    {
        **{f"{length} bytes": _of_length(length) for length in (255, 512, 1000)},
        **{f"{number} segments": _of_segments(number) for number in (200,)},
    },
)


@scenario(
    *("F1", "F2", "F3", "T2", "W7"),
    kills=("writers-of-long-keys-are-lost", "writers-of-long-keys-are-not-fenced"),
    rows=(28, 119),
    axes=(LONG,),
)
def a_writer_of_a_long_key_is_a_writer(ctx: Context, key: Callable[[str], str]) -> None:
    """A writer of a key of any length goes on while others work on other keys, and is fenced by what takes its own key.

    A driver that keeps something about a writer may have made less room for a key than there is.
    """
    driver, other, top = ctx.bare(), ctx.bare(), uuid.uuid4().hex
    long = key(top)
    above = long.rpartition("/")[0]
    try:
        writer = driver.open_writer(long)
        writer.write(b"one")
        other.put(f"{top}-beside", b"other")  # another driver's first change, at which it may tidy up
        writer.flush()
        writer.write(b"two")
        ctx.bare().delete(f"{top}-beside")
        writer.flush()
        assert ctx.bare().get(long, 100) == b"onetwo"
        writer.write(b", never flushed")
        for take in (other.open_writer, lambda long: other.put(long, b"put"), lambda _: other.delete(above)):
            held = take(long)
            with refused(FencedError):
                writer.flush()
            del held
            writer = driver.open_writer(long)
            writer.write(b", never flushed")
        other.delete(above)
        with refused(FencedError):
            writer.flush()
        assert driver.find(long) is None, "what was never flushed is there"
    finally:
        for each in (long, top, f"{top}-beside"):
            driver.delete(each)


@scenario(*("L1", "L2", "K3"), kills=("listing-loses-a-character",), rows=(25, 75, 81))
def a_name_may_begin_with_any_character(ctx: Context) -> None:
    """Names of one character, and names that begin with it, are listed whichever it is, as keys and as prefixes."""
    keys = [f"d/{each}" for each in FIRST] + [f"d/{each}./below" for each in FIRST]
    _put(ctx.driver, keys)
    wanted = sorted(key.removesuffix("below") for key in keys)
    _expect(list(ctx.open().list("d")), wanted)
    _expect([child for child in ctx.open().scan("d") if isinstance(child, str)], wanted)


@scenario(*("L1", "L2"), kills=("top-loses-a-character",), rows=(1, 25, 72))
def a_name_at_the_top_may_begin_with_any_character(ctx: Context) -> None:
    """At the top of the store, too, a name that begins with any character is listed, in order, and can be deleted.

    The end of the top is no key's end: a listing that ends before some character shows there alone.
    """
    driver, ours = ctx.bare(), f"{ROOT}-{uuid.uuid4().hex}"
    names = [f"{each}{ours}" for each in FIRST]
    try:
        _put(driver, [f"{name}/below" if number % 2 else name for number, name in enumerate(names)])
        wanted = sorted(f"{name}/" if number % 2 else name for number, name in enumerate(names))
        _expect([child for child in ctx.bare().list("") if ours in child], wanted)
    finally:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(driver.delete, names))
    _expect([child for child in ctx.bare().list("") if ours in child], [])


def _expect(found: list[str], wanted: list[str]) -> None:
    lost, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    assert found == wanted, f"missing: {lost[:5]}; too many: {more[:5]}; {len(found)} of {len(wanted)}"


def _beside(name: str) -> list[str]:
    """Return names for what a driver might keep of this one."""
    after = [f"{name}{between}{word}" for word in OWN for between in ".-_"]
    before = [f"{word}{between}{name}" for word in OWN for between in ".-_"]
    return [*after, *before, *(f"{each}{name}" for each in "_+-"), *(f"{name}{each}" for each in "_+-")]


@scenario(*("K2", "K3", "W6", "L1"), kills=("drafts-beside-their-keys",), rows=(21, 23, 88))
def names_that_a_driver_might_use_are_names(ctx: Context) -> None:
    """While a key is written, flushed and given up, keys with the names of its drafts and locks stay as they are.

    A driver's own names begin with a dot, which no key's do (K2): any other name may be an object's.
    """
    names = [f"d/{each}" for each in _beside("key")]
    _put(ctx.driver, names)
    _expect(list(ctx.open().list("d")), sorted(names))
    with ctx.driver.open_writer("d/key") as writer:
        writer.write(b"written")
        _expect(list(ctx.open().list("d")), sorted(names))
        writer.flush()
        writer.write(b" and given up")
        writer.discard()
    ctx.driver.put("d/key", b"put")
    ctx.driver.move("d/key", "d/moved")
    _expect(list(ctx.open().list("d")), sorted([*names, "d/moved"]))
    for each in names:
        ctx.same(ctx.driver.get(each, 100), each.encode(), each)


def _writings(digits: str) -> list[str]:
    """Return keys that are one number, or nearly one, in many ways of writing it."""
    ends = ("", ".", ".0", ".00", "e0", "E0", "e+0", "0", "e1", ".5", ".50", "_0", "L", "j")
    return [f"{sign}{digits}{end}" for sign in ("", "0", "+", "-") for end in ends]


@scenario(*("K3", "L1", "L2", "D1"), kills=("keys-taken-for-numbers",), rows=(25, 80))
def keys_that_are_numbers_are_different_objects(ctx: Context) -> None:
    """Keys that are one number, written in different ways, are different objects: at the top, and below a prefix.

    A database may take a key for a number, and then `007` and `7`, or `1.10` and `1.1`, are one.
    """
    digits = str(uuid.uuid4().int)[:12]
    driver, keys = ctx.bare(), _writings(digits)
    _numbers_apart(ctx.driver, "d/", keys)
    try:
        _numbers_apart(driver, "", keys)
    finally:
        for key in keys:
            driver.delete(key)


def _numbers_apart(driver: CheckedDriver, above: str, keys: list[str]) -> None:
    _put(driver, [above + key for key in keys])
    for key in keys:
        found = driver.get(above + key, 2000)
        assert found == (above + key).encode(), f"{above}{key} has {found!r}"
    driver.delete(above + keys[0])
    left = [key for key in driver.list(above.rstrip("/")) if keys[0] in key]
    wanted = sorted(above + key for key in keys[1:])
    assert left == wanted, f"listed: {left[:9]}, instead of {wanted[:9]}"

"""Keys: the grammar, that no two keys are confused, and that there are no directories."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING

from layerstore import Foreign, InvalidPathError, Unpublished
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

ODD = ("a", "Z", "0", "_", "-", "+", "--", "a.", "a..b", "a.tmp", "a_b", "CON", "nul.txt", "x+20", "tilde-1")
"""Keys that a shell, a URL or some filesystem changes."""

NO_KEYS = ("", "/", "/a", "a/", "a//b", "a b", "a\n", "a\\b", "a:b", "a%2fb", "a*", "é", "\udcff", "a\0b", "k" * 256)
"""Texts that are no keys: empty segments, spaces, controls, escapes, no ASCII, no text, a segment too long."""

DOTTED = (".", "..", "../a", "a/../b", "a/./b", "a/..", ".hidden", "a/.hidden", "...")
"""Segments that begin with a dot: ways out of the store, and the driver's own names."""

LONGEST_REST = 1000 - 33
"""Bytes that a key may have beside a segment of 32 bytes and its slash."""


@scenario("K1", "K3", kills=("special-characters-confused", "plus-means-space"), rows=(19, 21, 23))
def every_key_names_its_own_object(ctx: Context) -> None:
    """Every key that the grammar allows is stored under its own name, put or written.

    Repository names and digests contain dots, dashes and plus signs, which URLs and filesystems treat in their own
    ways.
    """
    for key in ODD:
        ctx.driver.put(key, ctx.payload("odd").read(600, 512 * ODD.index(key)))
    for key in ODD:
        _append(ctx.driver, key, key.encode())
    for key in ODD:
        ctx.expect(key, ctx.payload("odd").read(600, 512 * ODD.index(key)) + key.encode())
    assert ctx.stored() == sorted(ODD)


def _append(driver: CheckedDriver, key: str, data: bytes) -> None:
    with driver.open_writer(key) as writer:
        writer.write(data)


@scenario("K3", kills=("special-characters-confused", "segments-joined"), rows=(24, 27))
def keys_that_look_alike_are_different_objects(ctx: Context) -> None:
    """Keys that differ in one character, or in where a slash stands, are different objects."""
    keys = ("a+b", "a-b", "a.b", "a_b", "ab", "x/y", "x-y", "x_y", "x.y", "x+y", "xy", "foo/foo", "foo.foo", "foofoo")
    for number, key in enumerate(keys):
        ctx.driver.put(key, ctx.payload("alike").read(700, 512 * number))
    for number, key in enumerate(keys):
        ctx.expect(key, ctx.payload("alike").read(700, 512 * number))


@scenario("K3", kills=("case-ignored",), rows=(26,))
def upper_and_lower_case_are_different(ctx: Context) -> None:
    """Keys that differ in case are different objects.

    On a filesystem that ignores case, one repository's layers would replace another's.
    """
    for key in ("case/key", "case/KEY", "case/Key", "CASE/key"):
        ctx.driver.put(key, key.encode())
    for key in ("case/key", "case/KEY", "case/Key", "CASE/key"):
        ctx.expect(key, key.encode())
    assert ctx.stored() == ["CASE/key", "case/KEY", "case/Key", "case/key"]
    assert list(ctx.open().list("Case")) == []


@scenario("K1", "K3", kills=("segments-cut-short", "no-room-for-a-suffix"), rows=(28,))
def a_segment_may_have_255_bytes(ctx: Context) -> None:
    """A segment may have 255 bytes, as on common filesystems, put or written, and its last byte counts."""
    keys = ["s" * 254 + last for last in "ab"] + [f"{'p' * 254}{last}/{'q' * 255}" for last in "ab"]
    for number, key in enumerate(keys):
        ctx.driver.put(key, ctx.payload("long").read(600, 512 * number))
        _append(ctx.driver, key, b"and written")
    for number, key in enumerate(keys):
        ctx.expect(key, ctx.payload("long").read(600, 512 * number) + b"and written")
    assert sorted(ctx.stored()) == sorted(keys)


@scenario("K1", "K3", kills=("keys-cut-short", "segments-cut-short", "no-room-for-a-suffix"), rows=(28,))
def a_key_may_have_1000_bytes(ctx: Context) -> None:
    """The longest keys are stored whole, and their last byte tells them apart.

    A driver that adds something to the name, a root or a suffix, runs out of room first.
    """
    driver, top = ctx.bare(), uuid.uuid4().hex
    longest = "/".join(["k" * 255] * 3 + ["k" * (LONGEST_REST - 3 * 256)])
    keys = [f"{top}/{longest[:-1]}{last}" for last in "ab"]
    try:
        for key in keys:
            driver.put(key, key.encode())
            _append(driver, key, b"and written")
        for key in keys:
            ctx.same(ctx.bare().get(key, 2000), key.encode() + b"and written", f"key {keys.index(key)} of 1,000 bytes")
        assert list(ctx.bare().list(keys[0].rpartition("/")[0])) == keys
        driver.move(keys[0], f"{top}/moved")
        assert ctx.bare().find(keys[0]) is None, "a key of 1,000 bytes is still there after it was moved"
    finally:
        driver.delete(top)


@scenario("K1", kills=("deep-keys-refused",), rows=(27, 28, 101), profile="default")
def a_key_may_have_hundreds_of_segments(ctx: Context) -> None:
    """A key may have 200 segments, and is found again.

    Some backends count segments, not bytes.
    """
    deep = "/".join(["s"] * 190)  # below the scenario's own prefix
    ctx.driver.put(deep, ctx.payload("deep").read(900))
    ctx.expect(deep, ctx.payload("deep").read(900))
    assert list(ctx.open().list(deep[:-2])) == [deep]


@scenario("K1", kills=("grammar-unchecked", "key-checked-too-late"), rows=(20, 22, 25, 29, 177, 178))
def what_is_no_key_is_refused(ctx: Context) -> None:
    """A text that the grammar does not allow is refused before anything is read or stored."""
    ctx.driver.put("there", b"there")
    ctx.trace.clear()
    for key in (*NO_KEYS, "k/" * 500 + "k"):
        _refused_looks(ctx.driver, key)
    for no_key in ("a b", "é", "a:b"):  # changed only under names that do no harm where nothing refuses them
        _refused_changes(ctx.driver, no_key)
    assert not ctx.trace, f"the driver was called: {ctx.trace[0]!r}"
    assert ctx.stored() == ["there"]


def _refused_looks(driver: CheckedDriver, no_key: str) -> None:
    with refused(InvalidPathError):
        driver.stat(no_key)
    with refused(InvalidPathError):
        driver.open_reader(no_key)
    if no_key:  # the empty prefix is the top
        with refused(InvalidPathError):
            driver.list(no_key)


def _refused_changes(driver: CheckedDriver, no_key: str) -> None:
    with refused(InvalidPathError):
        driver.put(no_key, b"")
    with refused(InvalidPathError):
        driver.open_writer(no_key).close()
    with refused(InvalidPathError):
        driver.move("a", no_key)
    with refused(InvalidPathError):
        driver.move(no_key, "a")
    with refused(InvalidPathError):
        driver.delete(no_key)


@scenario("K1", "K2", kills=("grammar-unchecked", "dotted-names-accepted"), rows=(25, 176, 179))
def no_key_leads_out_of_the_store(ctx: Context) -> None:
    """No segment begins with a dot: no key leads out of a prefix or to the driver's own files.

    With ``../`` in a name, one tenant could read and replace another's layers.
    """
    ctx.driver.put("a/inside", ctx.payload("inside").read(600))
    for key in DOTTED:
        _refused_looks(ctx.driver, key)
    for key in (".hidden", "a/.hidden"):  # those that lead nowhere else
        _refused_changes(ctx.driver, key)
    assert ctx.stored() == ["a/inside"]


def _scanned(ctx: Context) -> list[str | Foreign]:
    """Return what a scan yields, without keys that have a writer but no published object."""
    return [child for child in ctx.open().scan("dir") if not isinstance(child, Unpublished)]


@scenario("K2", "L5", "L6", kills=("own-files-listed", "unpublished-listed"), rows=(163,))
def nothing_of_the_drivers_own_is_listed(ctx: Context) -> None:
    """While an object is written, a listing or a scan shows nothing but objects.

    If temporary files and locks were listed, they would be served, counted and purged like layers.
    """
    ctx.driver.put("dir/done", ctx.payload("done").read(600))
    writer = ctx.driver.open_writer("dir/half")
    writer.write(ctx.payload("half").read(600))
    assert ctx.stored() == _scanned(ctx) == ["dir/done"]
    writer.flush()
    writer.write(ctx.payload("more").read(600))
    assert ctx.stored() == _scanned(ctx) == ["dir/done", "dir/half"]
    writer.discard()


@scenario("K2", "D1", kills=("own-files-outlive-the-prefix",), rows=(163,))
def nothing_is_left_of_a_prefix_that_was_deleted(ctx: Context) -> None:
    """After a delete of a prefix, its name is free for an object: the driver leaves nothing of its own there."""
    for number in range(3):
        with ctx.driver.open_writer(f"dir/sub/{number}") as writer:
            writer.write(ctx.payload("gone").read(600))
    ctx.driver.delete("dir")
    ctx.driver.put("dir", ctx.payload("free").read(600))
    ctx.expect("dir", ctx.payload("free").read(600))
    assert ctx.stored() == ["dir"]


@scenario("K3", "L3", kills=("empty-prefix-stays",), rows=(78, 90))
def a_prefix_is_gone_with_its_last_key(ctx: Context) -> None:
    """There are no directories: a prefix is gone with its last key, whether that was deleted or moved."""
    for go in (partial(ctx.driver.delete, "a/b/d"), partial(ctx.driver.move, "a/b/d", "d")):
        ctx.driver.put("a/b/c", ctx.payload("c").read(600))
        ctx.driver.put("a/b/d", ctx.payload("d").read(600))
        ctx.driver.delete("a/b/c")
        assert list(ctx.open().list("")) == ["a/"], "the prefix went before its last key"
        go()
        assert list(ctx.open().list("")) == ctx.stored(), "the prefix stayed"
        ctx.driver.put("a", ctx.payload("a").read(600))
        ctx.expect("a", ctx.payload("a").read(600))
        ctx.driver.delete("a")
    assert ctx.stored() == ["d"]

"""Keys: the grammar, that no two keys are confused, and that there are no directories."""

from __future__ import annotations

import errno
import string
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from layerstore import DriverError, Foreign, InvalidPathError, Unpublished
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.failing import FailingDriver
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
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
    deep = "/".join(["s"] * (200 - len(ctx.prefix.split("/"))))
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


METHODS: dict[str, Callable[[CheckedDriver, str], object]] = {
    "stat": lambda driver, text: driver.stat(text),
    "find": lambda driver, text: driver.find(text),
    "get": lambda driver, text: driver.get(text, 1),
    "open_reader": lambda driver, text: driver.open_reader(text),
    "open_reader at an offset": lambda driver, text: driver.open_reader(text, 1),
    "open_writer": lambda driver, text: driver.open_writer(text),
    "put": lambda driver, text: driver.put(text, b""),
    "move": lambda driver, text: driver.move(text, "target"),
    "move at a version": lambda driver, text: driver.move(text, "target", version="1"),
    "move to": lambda driver, text: driver.move("source", text),
    "move onto itself": lambda driver, text: driver.move(text, text),
    "delete": lambda driver, text: driver.delete(text),
    "settle": lambda driver, text: driver.settle(text),
    "drop_cache": lambda driver, text: driver.drop_cache(text),
    "redirect_url": lambda driver, text: driver.redirect_url(text, timedelta(seconds=1)),
}
"""Every method that takes a key."""

PREFIXED: dict[str, Callable[[CheckedDriver, str], object]] = {
    "list": lambda driver, text: driver.list(text),
    "scan": lambda driver, text: driver.scan(text),
}
"""Every method that takes a prefix, which may be empty."""


def _refused_by_all(ctx: Context, texts: Iterable[str]) -> None:
    """Check that every method refuses what is no key, at the call, and does not ask the driver: it would fail."""
    driver = CheckedDriver(FailingDriver(ctx.driver, errno.EIO), "failing")
    for text in texts:
        for name, method in {**METHODS, **(PREFIXED if text else {})}.items():
            outcome = _outcome(partial(method, driver, text))
            assert outcome == "InvalidPathError of failing", f"{name} of {text[:80]!a}: {outcome}"


def _outcome(ask: Callable[[], object]) -> str:
    try:
        ask()
    except DriverError as error:
        return f"{type(error).__name__} of {error.driver}"
    return "accepted"


@scenario("K1", "K2", kills=("scan-prefix-unchecked", "move-target-unchecked"), rows=(20, 22, 25, 29, 177, 178))
def every_method_refuses_what_is_no_key(ctx: Context) -> None:
    """Every method of a driver, the optional ones too, refuses a text that is no key before the driver is asked."""
    _refused_by_all(ctx, (*NO_KEYS, *DOTTED, "../../etc/passwd", "k/" * 500 + "k", "a/" * 200 + "a"))


ALLOWED = f"{string.ascii_letters}{string.digits}._+-"
"""The characters of a segment."""

OUTSIDE = [each for each in map(chr, range(128)) if each not in ALLOWED and each != "/"]
"""Every other one of ASCII; what is between two slashes may be empty nowhere."""

BEYOND = (
    *("\u0663", "\uff13", "\u0969", "\u00b2", "\u2167", "\u212a", "\u017f", "\u0131", "\u00df", "\uff21", "\u0410"),
    *("\u0301", "\u200b", "\ufeff", "\u00a0", "\u0085", "\u2028", "\uff0f", "\u2024", "\u2215", "\udcff", "\U0001f600"),
)
"""Some beyond ASCII: digits and letters of other scripts, some of which become ASCII in lower or upper case or are
taken for digits, accents, spaces, ends of lines, dots and slashes, a byte that is no text, and one of two units."""


@scenario("K1", kills=("comma-is-a-key", "letters-of-any-script", "newline-at-the-end-accepted"), rows=(19, 20, 23))
def no_other_character_is_in_a_key(ctx: Context) -> None:
    """Every other character of ASCII, and of any script, is refused wherever it is in a key; the allowed ones are not.

    Two keys that some backend takes for one would be one layer under two names.
    """
    assert len(OUTSIDE) == 128 - len(ALLOWED) - 1
    for each in (*OUTSIDE, *BEYOND):
        texts = (each, f"{each}ab", f"a{each}b", f"ab{each}", f"d/{each}", f"{each}/d", f"d/{each}a/d", f"d/a{each}/d")
        _refused_by_all(ctx, texts)
    keys = [ALLOWED, *(f"{each}{each}" for each in "_+-aZ09"), *(f"a{each}" for each in "._+-")]
    for key in keys:
        ctx.driver.put(f"d/{key}", key.encode())
    for key in keys:
        ctx.expect(f"d/{key}", key.encode())


def _of_length(size: int, segment: int) -> str:
    """Return a key of so many bytes, with segments of at most so many."""
    whole, rest = divmod(size, segment + 1)
    if not rest:  # it would end in a slash
        return f"{_of_length(size - 2, segment)}/k"
    return "/".join(["k" * segment] * whole + ["k" * rest])


@scenario(
    "K1",
    kills=("segments-uncounted", "keys-of-any-length", "segments-of-any-length", "last-segment-refused"),
    rows=(27, 28, 101),
)
def each_limit_of_a_key_holds_by_itself(ctx: Context) -> None:
    """One byte or one segment too many is refused by every method, though no other limit is met; and none too few."""
    driver = ctx.bare()
    within = [_of_length(1000, 255), _of_length(1000, 249), "/".join("k" * 200), "k" * 255, f"a/{'k' * 255}/b"]
    for key in within:
        assert driver.find(key) is None, f"{key[:80]!r} is there"
    _refused_by_all(ctx, [_of_length(1001, 255), _of_length(1001, 249), _of_length(1001, 100), "/".join("k" * 201)])
    _refused_by_all(ctx, [f"{'kkk/' * 200}k", "k" * 256, f"a/{'k' * 256}/b", f"{'k' * 256}/b", f"a/{'k' * 256}"])


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

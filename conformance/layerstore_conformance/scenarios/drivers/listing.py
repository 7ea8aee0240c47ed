"""Listing: the direct children of a prefix, in order, each once, however many there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.keys import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

MANY = 1003
"""Children: a few more than the page of every common object store has."""


def _put(ctx: Context, keys: Iterable[str]) -> None:
    """Put small objects, eight at a time: there may be a thousand, and a driver may sync each."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: ctx.driver.put(key, key.encode()), keys))


def _below(ctx: Context, prefix: str) -> list[str]:
    return list(ctx.open().list(prefix))


def _expect(ctx: Context, prefix: str, *wanted: str) -> None:
    """Check through a fresh handle that exactly this is listed below a prefix."""
    found = _below(ctx, prefix)
    assert found == list(wanted), f"below {prefix!r}: {found} instead of {list(wanted)}"


@scenario("L1", kills=("grandchildren-listed", "names-without-their-prefix", "prefixes-without-a-slash"), rows=(75, 86))
def a_listing_shows_direct_children(ctx: Context) -> None:
    """A listing yields whole keys, and prefixes with a slash at the end; nothing from further down."""
    _put(ctx, ("top", "a/one", "a/two", "a/deep/one", "a/deep/er/two", "b/c/d/e"))
    _expect(ctx, "", "a/", "b/", "top")
    _expect(ctx, "a", "a/deep/", "a/one", "a/two")
    _expect(ctx, "a/deep", "a/deep/er/", "a/deep/one")
    _expect(ctx, "b", "b/c/")


@scenario("L1", kills=("top-not-listed",), rows=(1, 72))
def the_top_is_listed_like_any_prefix(ctx: Context) -> None:
    """The listing of ``""`` is that of the whole store: it yields the direct children of the top, in order."""
    ctx.driver.put("key", ctx.payload("top").read(600))
    top = list(ctx.bare().list(""))
    assert f"{ROOT}/" in top, f"{ROOT}/ is not among {top[:5]}"
    assert top == sorted(set(top)), "out of order, or twice"
    assert list(ctx.bare().list(ctx.prefix)) == [f"{ctx.prefix}/key"]


@scenario("L1", kills=("listed-by-the-letters",), rows=(80, 179))
def a_prefix_ends_at_a_slash(ctx: Context) -> None:
    """A prefix ends at a slash: neither ``foo.bar`` nor ``foobar/x`` lies below ``foo``.

    Otherwise a repository would list, and purge, the uploads of its neighbours.
    """
    _put(ctx, ("foo/in", "foo.bar", "foo-bar/out", "foobar/out", "fo/out", "foo2", "dir/foo/out"))
    _expect(ctx, "foo", "foo/in")
    _expect(ctx, "fo", "fo/out")
    _expect(ctx, "f")


@scenario(
    "L2",
    kills=("listed-out-of-order", "ordered-without-the-slash", "prefixes-merged-by-name", "ordered-without-case"),
    rows=(81,),
)
def a_listing_is_in_order(ctx: Context) -> None:
    """A listing is in the order of its bytes, and the slash of a prefix is one of them."""
    names = ("b/x", "b-", "b.", "b0", "B", "b+", "_", "a", "10", "9", "bb", "Z/x", "b-x/y")
    _put(ctx, [f"d/{name}" for name in (*names, "b/c+/d", "b/c.d", "b/c/d/e")])
    found = _below(ctx, "d")
    wanted = ["10", "9", "B", "Z/", "_", "a", "b+", "b-", "b-x/", "b.", "b/", "b0", "bb"]
    assert found == [f"d/{name}" for name in wanted], f"{found} instead of {wanted}"
    _expect(ctx, "d/b", "d/b/c+/", "d/b/c.d", "d/b/c/", "d/b/x")


@scenario("L2", "L1", kills=("prefix-listed-for-every-key",), rows=(86,))
def a_prefix_is_listed_once(ctx: Context) -> None:
    """A prefix is yielded once, however many keys lie below it."""
    _put(ctx, [f"d/a/{number}" for number in range(20)] + [f"d/b/{number}/x" for number in range(20)])
    _expect(ctx, "d", "d/a/", "d/b/")


@scenario("L2", kills=("first-page-for-ever",), rows=(86, 87))
def a_walk_by_listings_comes_to_an_end(ctx: Context) -> None:
    """Who goes through a store by its listings meets each key once, and nothing that was there before.

    A page that does not say where the next one begins is listed for ever, and a purge or a scrub with it.
    """
    keys = sorted(f"d/{name}/{number}" for name in "abc" for number in (*range(9), "x/y"))
    _put(ctx, keys)
    assert ctx.stored("d") == keys


@scenario("L3", kills=("missing-prefix-raises",), rows=(3, 77, 78))
def a_missing_prefix_lists_nothing(ctx: Context) -> None:
    """The listing of a missing prefix yields nothing and is no error; a fresh store is empty."""
    _expect(ctx, "")
    _expect(ctx, "a")
    ctx.driver.put("a/b", ctx.payload("b").read(600))
    for prefix in ("b", "a/c", "a/c/d", "a/b/c"):
        _expect(ctx, prefix)


@scenario("L3", kills=("key-lists-itself",), rows=(79,))
def a_key_does_not_list_itself(ctx: Context) -> None:
    """The listing of an object's key does not yield the key: a walk by listings must come to an end."""
    ctx.driver.put("a/b", ctx.payload("b").read(600))
    ctx.driver.put("top", ctx.payload("top").read(600))
    _expect(ctx, "a/b")
    _expect(ctx, "top")


@scenario("L4", "D1", kills=("list-capped", "delete-stops-at-a-thousand"), rows=(82, 92, 113))
def more_than_a_page_is_listed_and_deleted(ctx: Context) -> None:
    """More children than one page of any backend holds are all listed, in order and once, and all deleted.

    A listing that ends at the first page hides layers, and a delete that ends there leaves them.
    """
    keys = [f"many/{number:04}" for number in range(MANY)]
    _put(ctx, keys)
    found = _below(ctx, "many")
    missing = sorted(set(keys) - set(found))
    assert found == keys, f"{len(found)} of {MANY} listed; missing from {missing[:1]} on"
    ctx.driver.delete("many")
    left = ctx.stored()
    assert not left, f"{len(left)} of {MANY} left by a delete of them all"


@scenario("L4", kills=("list-pages-by-number", "listing-ends-where-its-place-is-gone"), rows=(85, 87))
def what_stays_is_listed_while_others_come_and_go(ctx: Context) -> None:
    """While objects are deleted and put, a listing yields each object that stays exactly once.

    A purge deletes keys while it lists them.
    """
    stays = [f"d/{number:02}-stays" for number in range(0, 24, 2)]
    _put(ctx, [*stays, *(f"d/{number:02}-goes" for number in range(1, 24, 2))])
    found = []
    for child in ctx.open().list("d"):
        found.append(child)
        if child.endswith("-goes"):
            ctx.driver.delete(child)
        elif child.endswith("-stays"):
            ctx.driver.put(child.replace("-stays", "-before"), b"")
            ctx.driver.put(child.replace("-stays", "-then"), b"")
    assert [child for child in found if child.endswith("-stays")] == stays, f"{found} instead of {stays} among others"
    assert found == sorted(set(found)), f"out of order, or twice: {found}"


@scenario("L4", "T2", kills=("one-listing-at-a-time",), rows=(82, 87))
def listings_are_read_side_by_side(ctx: Context) -> None:
    """Two listings are read in turns, one is abandoned and another begun: each has its own position."""
    keys = [f"d/{number:02}" for number in range(10)]
    _put(ctx, keys)
    driver = ctx.open()
    given_up = driver.list("d")
    assert next(given_up) == keys[0]
    pairs = list(zip_longest(driver.list("d"), driver.list("d")))
    assert pairs == [(key, key) for key in keys], "two listings disturb each other"
    assert next(given_up) == keys[1]


@scenario("L5", "W6", kills=("unpublished-listed",), rows=(88,))
def only_published_objects_are_listed(ctx: Context) -> None:
    """An object that is being written is listed from its first flush on, and so is its prefix."""
    writer = ctx.driver.open_writer("d/new")
    writer.write(ctx.payload("new").read(700))
    _expect(ctx, "")
    _expect(ctx, "d")
    writer.flush()
    _expect(ctx, "", "d/")
    _expect(ctx, "d", "d/new")
    writer.close()


@scenario("L1", "L5", kills=("listing-cached",), rows=(90, 93, 114))
def a_listing_shows_what_another_handle_did(ctx: Context) -> None:
    """A handle that has listed before lists again what is there: another handle's changes show at once."""
    here, there = ctx.driver, ctx.open()
    _put(ctx, ("d/a", "d/b"))
    assert list(here.list("d")) == ["d/a", "d/b"]
    there.put("d/c", b"c")
    there.delete("d/a")
    there.move("d/b", "d/e/b")
    assert list(here.list("d")) == ["d/c", "d/e/"]


@scenario("L1", kills=("grandchildren-listed", "prefixes-without-a-slash", "listing-ends-at-a-prefix"), rows=(76,))
def a_walk_finds_every_key(ctx: Context) -> None:
    """A walk from the top by listings finds every key, once."""
    keys = [f"{a}/{b}/{c}" for a in "ab" for b in ("x", "x-", "y") for c in range(3)] + ["a/x0", "b/key", "top"]
    _put(ctx, keys)
    assert sorted(ctx.stored()) == sorted(keys)
    assert sorted(ctx.stored("a")) == sorted(key for key in keys if key.startswith("a/"))


@scenario("L4", "L2", kills=("listing-goes-on-at-an-index",), rows=(82,))
def a_listing_while_as_many_come_as_go_yields_what_stays(ctx: Context) -> None:
    """While one key comes for each that goes, on either side of where a listing is, it yields what stays, once.

    ``gc`` and ``purge`` list while others upload and finish; the number of keys says nothing of which they are.
    """
    stay = [f"d/{letter}{number}-stays" for letter in "bcdef" for number in range(4)]
    for come, go in (("a", "z"), ("z", "a")):
        _put(ctx, (*stay, *(f"d/{go}{number:02}" for number in range(len(stay)))))
        found = []
        for number, key in enumerate(ctx.driver.list("d")):
            found.append(key)
            if number < len(stay):
                ctx.driver.delete(f"d/{go}{number:02}")
                ctx.driver.put(f"d/{come}{number:02}", b"new")
        assert [key for key in found if key.endswith("stays")] == stay, f"while {come} came and {go} went: {found}"
        assert found == sorted(set(found)), f"out of order, or twice: {found}"
        ctx.driver.delete("d")

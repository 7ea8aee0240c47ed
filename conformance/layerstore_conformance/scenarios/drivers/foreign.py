"""Foreign things, which are no objects: a scan yields them, a listing does not, and a delete leaves them in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import Foreign
from layerstore.keys import is_key
from layerstore_conformance.engine.scenario import scenario

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def scanned(ctx: Context, prefix: str) -> tuple[list[str], list[str]]:
    """Return the objects and prefixes of a fresh handle's scan, and the names of the foreign things."""
    found = list(ctx.open().scan(prefix))
    things = [each for each in found if isinstance(each, Foreign)]
    assert all(each.what for each in things), f"their kind is not named: {things}"
    return [each for each in found if isinstance(each, str)], sorted(each.name.rstrip("/") for each in things)


@scenario(
    "L6",
    "L5",
    kills=("foreign-things-passed-over", "foreign-things-listed", "objects-are-not-scanned"),
    needs=("foreign",),
)
def a_scan_tells_what_a_listing_passes_over(ctx: Context) -> None:
    """A scan yields objects, prefixes and every foreign thing; a listing yields objects and prefixes only.

    A tool that deletes unreferenced objects has to know of everything that may refer to one.
    """
    for key in ("dir/b", "dir/c/d", "dir/z"):
        ctx.driver.put(key, ctx.payload("object").read(600))
    expected = ["dir/b", "dir/c/", "dir/z"]
    with ctx.foreign("dir") as names:
        assert list(ctx.open().list("dir")) == expected
        objects, things = scanned(ctx, "dir")
        assert objects == expected, f"scanned were {objects}"
        assert things == names, f"scanned were {things}, there are {names}"
        assert ctx.stored() == ["dir/b", "dir/c/d", "dir/z"]
    assert scanned(ctx, "dir") == (expected, [])


@scenario("L6", kills=("foreign-directory-passed-over",), needs=("foreign",))
def a_directory_of_nothing_else_is_told_of(ctx: Context) -> None:
    """A scan reports a directory that holds foreign things and no object, however deep; a listing does not.

    It yields the directory, or the things in it.
    """
    ctx.driver.put("top/object", ctx.payload("object").read(600))
    for place in ("top/dir", "top/dir/deeper"):
        with ctx.foreign(place):
            assert list(ctx.open().list("top")) == ["top/object"]
            objects, things = scanned(ctx, "top")
            assert objects == ["top/object"], f"scanned were {objects}"
            assert things, f"there is {place}, and a scan does not report it"
            assert all(f"{each}/".startswith("top/dir/") for each in things), f"said to be foreign: {things}"


@scenario("L6", kills=("foreign-place-passed-over",), needs=("foreign",))
def a_thing_in_the_place_of_a_prefix_is_told_of(ctx: Context) -> None:
    """If a foreign thing has the name of a key, a scan of that name, or below it, yields the thing.

    Otherwise a link to another disk would look like a repository without layers.
    """
    with ctx.foreign("dir") as names:
        for name in filter(is_key, names):
            for prefix in (name, f"{name}/below"):
                assert scanned(ctx, prefix)[1] == [name], f"a scan of {prefix} tells of {scanned(ctx, prefix)[1]}"


@scenario("D5", "D1", kills=("foreign-things-deleted",), needs=("foreign",))
def a_delete_leaves_what_is_no_object(ctx: Context) -> None:
    """A delete of a prefix deletes the objects below it and leaves every foreign thing in place.

    A foreign thing may be the only copy of something, or lead to a disk that is not ours.
    """
    for deleted in ("up/dir", "up"):
        for key in ("up/dir/b", "up/dir/c/d", "up/e"):
            ctx.driver.put(key, ctx.payload("object").read(600))
        with ctx.foreign("up/dir") as names:
            for _ in range(2):
                ctx.driver.delete(deleted)
                assert list(ctx.open().list("up/dir")) == []
                assert scanned(ctx, "up/dir") == ([], names), f"a delete of {deleted} took some of {names}"
            ctx.driver.put("up/dir/b", b"made anew")
            assert scanned(ctx, "up/dir") == (["up/dir/b"], names)
        ctx.driver.delete("up")
        assert ctx.stored() == []

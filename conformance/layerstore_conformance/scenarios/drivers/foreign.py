"""Things in the backend that are no objects: a scan tells of them, a listing does not, and a delete leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import Foreign
from layerstore.keys import is_key
from layerstore_conformance.engine.scenario import scenario

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def scanned(ctx: Context, prefix: str) -> tuple[list[str], list[str]]:
    """Return what a fresh handle's scan of a prefix yields: objects and prefixes, and the names of foreign things."""
    found = list(ctx.open().scan(prefix))
    things = [each for each in found if isinstance(each, Foreign)]
    assert all(each.what for each in things), f"it is not told what they are: {things}"
    return [each for each in found if isinstance(each, str)], sorted(each.name.rstrip("/") for each in things)


@scenario(
    "L6",
    "L5",
    kills=("foreign-things-passed-over", "foreign-things-listed", "objects-are-not-scanned"),
    needs=("foreign",),
)
def a_scan_tells_what_a_listing_passes_over(ctx: Context) -> None:
    """A scan yields what a listing does, and each thing there that is no object; a listing yields objects alone.

    Whoever deletes what nothing refers to has to know of everything that may refer to it.
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
    """A scan tells of a directory that holds no object but something foreign, however deep; a listing does not.

    It yields the directory, or what it has found in there.
    """
    ctx.driver.put("top/object", ctx.payload("object").read(600))
    for place in ("top/dir", "top/dir/deeper"):
        with ctx.foreign(place):
            assert list(ctx.open().list("top")) == ["top/object"]
            objects, things = scanned(ctx, "top")
            assert objects == ["top/object"], f"scanned were {objects}"
            assert things, f"there is {place}, and nothing is told of it"
            assert all(f"{each}/".startswith("top/dir/") for each in things), f"said to be foreign: {things}"


@scenario("L6", kills=("foreign-place-passed-over",), needs=("foreign",))
def a_thing_in_the_place_of_a_prefix_is_told_of(ctx: Context) -> None:
    """Where a thing that is no object has a key's name, a scan of that name, or below it, yields it.

    Else a link to another disk looks like a repository without layers.
    """
    with ctx.foreign("dir") as names:
        for name in filter(is_key, names):
            for prefix in (name, f"{name}/below"):
                assert scanned(ctx, prefix)[1] == [name], f"a scan of {prefix} tells of {scanned(ctx, prefix)[1]}"


@scenario("D5", "D1", kills=("foreign-things-deleted",), needs=("foreign",))
def a_delete_leaves_what_is_no_object(ctx: Context) -> None:
    """A delete of a prefix deletes the objects below it, and leaves in place whatever else lies there.

    It may be the only copy of something, or lead to a disk that is not ours.
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

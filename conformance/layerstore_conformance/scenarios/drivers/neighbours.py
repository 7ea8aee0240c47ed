"""Neighbours: keys that differ from another in one character, in case or in a slash are other keys, to every method."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from layerstore import FencedError, PathNotFoundError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.steps.points import GRAMMAR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

PLACES = Axis(
    "place",
    {
        "letters": ("", "key"),
        "underscore": ("dir/", "k_y"),
        "dot": ("Dir/a_b/", "k.y"),
        "plus": ("", "k+y"),
        "dash": ("dir/", "k-y"),
        "case": ("Dir/a_b/", "kEy"),
    },
)
"""A parent and the last segment of the key in the middle: characters that are wildcards, or nothing, to some."""

OFTEN = "._+-0AZaz"
"""Characters that stand beside the slash in order, that are wildcards, and that fold."""


def _around(base: str) -> list[str]:
    """Return segments that are near this one."""
    after = [base + each for each in GRAMMAR]
    inside = [base[:1] + each + base[2:] for each in {*GRAMMAR[::4], *OFTEN}]
    before = [each + base for each in {*GRAMMAR[::9], *OFTEN} - {"."}]
    others = [base[:1], base[:2], base[:1] + base[2:], base[:1] * 2 + base[2:], base + base, base[::-1]]
    others += [base.upper(), base.lower(), base.swapcase(), base.title()]
    return sorted({*inside, *after, *before, *others} - {base})


def _flat(key: str) -> list[str]:
    """Return keys that are the same as this one where a slash is written as something else, or left out."""
    return [key.replace("/", instead) for instead in ("_", "+", "-", ".", "__", "--", "+2F", "")] if "/" in key else []


def _near(parent: str, base: str) -> list[str]:
    """Return keys near ``parent + base``; some are objects, and some prefixes of objects."""
    beside = [
        f"{parent}{each}{'/x' if number % 3 == 0 or each.lower() == base.lower() else ''}"
        for number, each in enumerate(_around(base))
    ]
    others = {parent.swapcase(), parent.replace("_", "x"), f"y/{parent}"} - {parent}
    far = {f"other/{base}", f"{parent}zz/{base}/x", *(f"{other}{base}/x" for other in others)}
    return sorted({*beside, *_flat(f"{parent}{base}"), *far})


def _put(ctx: Context, keys: Iterable[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: ctx.driver.put(key, key.encode()), keys))


def _expect(ctx: Context, keys: Collection[str]) -> None:
    """Check that exactly these objects are there, each with its own key in it."""
    _expect_keys(ctx, keys)
    driver = ctx.open()
    for key in keys:
        ctx.same(driver.get(key, 1000), key.encode(), key)


def _expect_keys(ctx: Context, keys: Iterable[str]) -> None:
    wanted, found = sorted(keys), sorted(ctx.stored())
    lost, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    assert found == wanted, f"gone: {lost[:5]}; there: {more[:5]}"


def _delete_object(ctx: Context, key: str) -> list[str]:
    ctx.driver.put(key, b"deleted")
    ctx.driver.delete(key)
    return []


def _delete_prefix(ctx: Context, key: str) -> list[str]:
    for below in ("x", "x.y", "deep/er/x"):
        ctx.driver.put(f"{key}/{below}", b"deleted")
    ctx.driver.delete(key)
    return []


def _delete_nothing(ctx: Context, key: str) -> list[str]:
    ctx.driver.delete(key)
    return []


def _move_away(ctx: Context, key: str) -> list[str]:
    ctx.driver.put(key, b"moved")
    ctx.driver.move(key, "moved")
    ctx.driver.delete("moved")
    return []


def _move_over(ctx: Context, key: str) -> list[str]:
    ctx.driver.put("source", key.encode())
    ctx.driver.move("source", key)
    return [key]


def _write(ctx: Context, key: str) -> list[str]:
    with ctx.driver.open_writer(key) as writer:
        writer.write(key.encode())
    return [key]


ACTS: dict[str, Callable[[Context, str], list[str]]] = {
    "delete an object": _delete_object,
    "delete a prefix": _delete_prefix,
    "delete nothing": _delete_nothing,
    "move away": _move_away,
    "move over": _move_over,
    "write": _write,
}


@scenario(
    *("K3", "D1", "M1", "F2", "L1"),
    kills=(
        *("delete-takes-a-neighbour", "delete-takes-what-matches", "neighbour-fenced", "delete-goes-by-letters"),
        "fenced-by-a-flat-name",
    ),
    rows=(25, 26, 80, 111),
    axes=(PLACES,),
)
def what_is_done_to_a_key_is_done_to_no_neighbour(ctx: Context, place: tuple[str, str]) -> None:
    """A delete, move or write of a key leaves every key that looks like it, its bytes, and the writers of those.

    To a pattern ``_`` is any character, to a folding backend ``KEY/x`` is ``key/x``, to a careless comparison ``key0``
    comes right after ``key/``.
    """
    key, near = "".join(place), _near(*place)
    _put(ctx, near)
    driver = ctx.open()
    writers = [driver.open_writer(each) for each in near]
    for name, act in ACTS.items():
        ctx.step(f"{name} {key}")
        left = act(ctx, key)
        _expect_keys(ctx, [*near, *left])
        ctx.driver.delete(key)
    for writer in writers:
        writer.flush()  # no neighbour was fenced
        writer.discard()
    _expect(ctx, near)


@scenario(
    *("K3", "L1", "L2", "R3", "S3"),
    kills=("listing-takes-a-neighbour", "keys-folded", "stat-finds-a-neighbour"),
    rows=(26, 80, 81),
    axes=(PLACES,),
)
def a_key_that_is_not_there_is_found_by_no_neighbour(ctx: Context, place: tuple[str, str]) -> None:
    """Among all keys that look like it a missing key is missing, and what lies below each is listed there alone."""
    key, near = "".join(place), _near(*place)
    _put(ctx, near)
    for look in (ctx.driver.stat, ctx.driver.open_reader):
        with refused(PathNotFoundError):
            look(key)
    assert list(ctx.driver.list(key)) == [], f"below {key!r} there is {list(ctx.driver.list(key))[:3]}"
    with refused(PathNotFoundError):
        ctx.driver.move(key, "moved")
    for prefix in ["", *sorted({each.rpartition("/")[0] for each in near if "/" in each})]:
        ctx.same("\n".join(ctx.driver.list(prefix)).encode(), "\n".join(_children(near, prefix)).encode(), prefix)


def _children(keys: Iterable[str], prefix: str) -> list[str]:
    """Return what a listing must yield."""
    below = f"{prefix}/" if prefix else ""
    rests = [key.removeprefix(below) for key in keys if key.startswith(below)]
    return sorted({below + rest.partition("/")[0] + ("/" if "/" in rest else "") for rest in rests})


@scenario("L1", "L2", "D1", "K3", kills=("listed-out-of-order", "ordered-without-case"), rows=(76, 81))
def random_trees_are_listed_and_deleted_as_a_model_says(ctx: Context) -> None:
    """Of random keys of few characters, whose order is easily mistaken, every prefix is listed, and deleted, right."""
    for number in range(ctx.size(6)):
        with ctx.apart(f"tree-{number}"):
            keys = _random_tree(ctx)
            _put(ctx, keys)
            _expect_tree(ctx, keys)
            for _ in range(3):
                prefix = "/".join(ctx.random.choice(keys).split("/")[: ctx.random.randrange(1, 4)])
                ctx.driver.delete(prefix)
                keys = [key for key in keys if not f"{key}/".startswith(f"{prefix}/")] or ["last"]
                ctx.driver.put("last", b"last") if keys == ["last"] else None
                _expect_tree(ctx, keys)


def _random_tree(ctx: Context) -> list[str]:
    """Return keys of up to four segments, none of which lies below another."""
    keys: set[str] = set()
    for _ in range(60):
        segments = [ctx.random.choice("aAb_") + ctx.random.choice(["", *".-0+_"]) for _ in range(4)]
        key = "/".join(segments[: ctx.random.randrange(1, 5)])
        nested = any(f"{key}/".startswith(f"{other}/") or f"{other}/".startswith(f"{key}/") for other in keys)
        keys |= set() if nested else {key}
    return sorted(keys)


def _expect_tree(ctx: Context, keys: list[str]) -> None:
    prefixes = {"/".join(key.split("/")[:depth]) for key in keys for depth in range(len(key.split("/")))}
    driver = ctx.open()
    for prefix in sorted(prefixes):
        found, wanted = list(driver.list(prefix)), _children(keys, prefix)
        assert found == wanted, f"below {prefix!r}: {found[:20]} instead of {wanted[:20]}"
        scanned = [child for child in driver.scan(prefix) if isinstance(child, str)]
        assert scanned == wanted, f"scanned below {prefix!r}: {scanned[:20]} instead of {wanted[:20]}"


NAMES = (
    *("7", "07", "007", "+7", "-7", "7.0", "7.00", "7e0", "0x7", "0", "00", "-0", "1e999", "NaN", "nan", "inf", "null"),
    *(
        "None",
        "none",
        "NULL",
        "true",
        "True",
        "con",
        "nul",
        "aux",
        "prn",
        "com1",
        "lpt1",
        "con.txt",
        "lock",
        "key.lock",
    ),
    *("key.tmp", "tmp", "key.part", "key.new", "key.bak", "key.json", "key.meta", "index", "data", "link", "state"),
    *("startedat", "uploads", "a.", "a..", "a...", "-", "--", "_", "__", "+", "++", "a-", "a_", "a+", "-a", "_a", "+a"),
    *("A", "a", "aa", "Aa", "aA", "AA", "ab", "aB", "a.b", "a-b", "a_b", "a+b", "SUM", "sum", "key.gz", "key.tar.gz"),
    *("xn--a", "README", "readme", "Thumbs.db", "desktop.ini", "lost+found", "core", "nohup.out", "x" * 64, "x" * 65),
    *(
        "x" * 128,
        "x" * 200,
        "y" * 254,
        "y" * 255,
        "0123456789abcdef" * 4,
        "2024-01-01T00.00.00",
        "a.b.c.d.e.f",
        "1_000",
    ),
)
"""Segments that mean something elsewhere: numbers, devices, suffixes of temporary files, names at lengths of hashes."""


@scenario(
    *("K1", "K3", "L1", "L2"),
    kills=("segments-cut-short", "special-characters-confused", "names-passed-over"),
    rows=(25, 26, 28, 29),
)
def names_that_mean_something_elsewhere_are_like_others(ctx: Context) -> None:
    """A segment that is a number, a device, a temporary file or a hash elsewhere is a name of its own here."""
    keys = [f"names/{name}" for name in NAMES] + [f"above/{name}/below" for name in NAMES]
    keys += [f"{name}/below" for name in NAMES[::3]]
    _put(ctx, keys)
    _expect(ctx, keys)
    assert list(ctx.open().list("names")) == sorted(f"names/{name}" for name in NAMES)
    assert list(ctx.open().list("above")) == sorted(f"above/{name}/" for name in NAMES)
    for name in NAMES[::4]:
        ctx.driver.delete(f"names/{name}")
    _expect(ctx, [key for key in keys if key not in {f"names/{name}" for name in NAMES[::4]}])


DEPTHS = Axis("depth", {"2": 2, "5": 5, "9": 9, "17": 17, "40": 40, "190": 190})
"""Segments: the last is the most that a key may have below the prefix of a scenario."""


@scenario(
    *("K1", "L1", "D1", "M1", "L3"),
    kills=("grandchildren-left", "grandchildren-listed", "deletes-so-deep"),
    rows=(27, 76, 101, 110),
    axes=(DEPTHS,),
)
def keys_at_any_depth_are_listed_moved_and_deleted(ctx: Context, depth: int) -> None:
    """Keys at any depth are listed level by level, moved, and deleted with a prefix at any level; no other is."""
    path = [str(level % 10) for level in range(depth)]
    keys = ["/".join([*path[:level], "leaf"]) for level in sorted({*range(0, depth, depth // 6 + 1), depth})]
    keys += ["/".join([*path[:level], "branch", *path[level:]]) for level in (0, depth // 2)]
    _put(ctx, keys)
    _expect(ctx, keys)
    deep = "/".join([*path, "leaf"])
    ctx.driver.move(deep, "moved")
    ctx.driver.move("moved", f"{deep}-again")
    ctx.driver.put(deep, deep.encode())
    ctx.driver.delete(f"{deep}-again")
    _expect(ctx, keys)
    cut = "/".join(path[: depth // 2 + 1])
    ctx.driver.delete(cut)
    _expect(ctx, [key for key in keys if not f"{key}/".startswith(f"{cut}/")])
    ctx.driver.delete(path[0])
    _expect(ctx, [key for key in keys if not f"{key}/".startswith(f"{path[0]}/")])


@scenario("F1", "F2", "K3", kills=("case-ignored",), rows=(120, 127), axes=(PLACES,))
def opening_a_writer_fences_no_neighbour(ctx: Context, place: tuple[str, str]) -> None:
    """Writers of keys that look alike are open side by side, and publish; a second one fences that of its own key."""
    base = "".join(place)
    keys = [base, *_near(*place)[::4]]
    writers = {key: ctx.driver.open_writer(key) for key in keys}
    for key, writer in writers.items():
        writer.write(key.encode())
    second = ctx.open().open_writer(base)
    for key, writer in writers.items():
        if key == base:
            with refused(FencedError):
                writer.flush()
        else:
            writer.flush()
        writer.discard()
    second.write(base.encode())
    second.close()
    _expect(ctx, keys)

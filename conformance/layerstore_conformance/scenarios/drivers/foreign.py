"""Foreign things, which are no objects: a scan yields them, a listing does not, and a delete leaves them in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from layerstore import (
    AccessDeniedError,
    BackendUnavailableError,
    FencedError,
    Foreign,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.checked import CheckedDriver
from layerstore.keys import is_key
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.layers import link
from layerstore_conformance.kit.litter import HARMLESS, TOLD
from layerstore_conformance.kit.passing import PassingDriver
from layerstore_conformance.kit.refusal import refused
from layerstore_conformance.kit.small_disk import mount_small_disk
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from pathlib import Path

    from layerstore.driver import Scanned, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"


def scanned(ctx: Context, prefix: str) -> tuple[list[str], list[str]]:
    """Return the objects and prefixes of a fresh handle's scan, and the names of the foreign things."""
    found = list(ctx.open().scan(prefix))
    things = [each for each in found if isinstance(each, Foreign)]
    assert all(each.what for each in things), f"their kind is not named: {things}"
    return [each for each in found if isinstance(each, str)], sorted(each.name for each in things)


@scenario(
    "L6",
    "L5",
    kills=(
        *("foreign-things-passed-over", "foreign-things-listed", "objects-are-not-scanned"),
        *("hidden-things-passed-over", "harmless-by-its-beginning", "harmless-things-are-told-of"),
        *("foreign-directories-without-slash", "foreign-names-are-no-text"),
    ),
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


@scenario("L6", kills=("foreign-directory-passed-over",), needs=("traced", "url"))
def what_lies_deeper_than_a_harmless_file_is_told_of(ctx: Context) -> None:
    """A harmless file in a directory does not hide the one foreign thing below it, which comes later."""
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        driver.put("top/dir/key", b"object")
        for place in [path for path in folder.rglob("top") if path.is_dir()]:  # where a directory is one of the keys'
            (place / "other" / "deeper").mkdir(parents=True)
            (place / "other" / ".DS_Store").write_bytes(b"harmless")
            (place / "other" / "deeper" / "no key").write_bytes(b"foreign")
            things = [each.name for each in driver.scan("top") if isinstance(each, Foreign)]
            assert things == ["top/other/deeper/no key"], f"told of {things}"


@scenario("L6", kills=("foreign-place-passed-over", "foreign-place-far-above-passed-over"), needs=("foreign",))
def a_thing_in_the_place_of_a_prefix_is_told_of(ctx: Context) -> None:
    """If a foreign thing has the name of a key, a scan of that name, or below it, yields the thing.

    Otherwise a link to another disk would look like a repository without layers.
    """
    with ctx.foreign("dir") as names:
        for name in filter(is_key, names):
            for prefix in (name, f"{name}/below", f"{name}/below/that", f"{name}/a/b/c/d/e"):
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


def _ways_in(driver: CheckedDriver, key: str, version: str) -> dict[str, Callable[[], object]]:
    """Return calls that ask for a key that is no object, by name."""
    return {
        "stat": lambda: driver.stat(key),
        "open_reader": lambda: driver.open_reader(key),
        "move from it": lambda: driver.move(key, "moved"),
        "move from it at a version": lambda: driver.move(key, "moved", version=version),
    }


def _ways_out(driver: CheckedDriver, key: str) -> dict[str, Callable[[], object]]:
    """Return calls that would store an object under a key, by name."""
    return {
        "put": lambda: driver.put(key, b"put"),
        "put of nothing": lambda: driver.put(key, b""),
        "a writer": lambda: _write(driver.open_writer(key)),
        "a writer that writes nothing": lambda: driver.open_writer(key).close(),
        "move there": lambda: driver.move("up/object", key),
    }


def _write(writer: Writer) -> None:
    with writer:
        writer.write(b"written")


@scenario(
    *("E1", "D5", "E4", "L6"),
    kills=("foreign-things-are-replaced", "foreign-things-are-read"),
    needs=("foreign",),
)
def a_thing_under_a_key_is_no_object_and_stays(ctx: Context) -> None:
    """If a foreign thing has the name of a key, it is not read or moved as an object, and nothing is stored over it.

    Nor below it: a link to another disk stays a link, and nothing is written there.
    """
    data = ctx.payload("object").read(600)
    ctx.driver.put("up/object", data)
    version = ctx.driver.stat("up/object").version
    with ctx.foreign("dir") as names:
        for key in [f"{name}{below}" for name in filter(is_key, names) for below in ("", "/_layers/link", "/a/b")]:
            for what, ask in _ways_in(ctx.driver, key, version).items():
                ctx.step(f"{what}: {key}")
                with refused(PathNotFoundError, AccessDeniedError):
                    ask()
            for what, store in _ways_out(ctx.driver, key).items():
                ctx.step(f"{what}: {key}")
                with refused(AccessDeniedError, UnsupportedOperationError, BackendUnavailableError):
                    store()
            ctx.driver.delete(key)
            assert list(ctx.driver.list(key)) == [], f"there are objects below {key}"
        assert scanned(ctx, "dir") == ([], names)
        assert ctx.stored() == ["up/object"]
    ctx.expect("up/object", data)


@scenario("E1", "X2", "F4", "D5", kills=("foreign-things-are-replaced",), needs=("foreign",))
def a_thing_that_comes_under_a_key_stops_its_writer(ctx: Context) -> None:
    """If a foreign thing appears under the key of an open writer of a new object, its flush raises; the thing stays."""
    with ctx.foreign("dir") as names:
        keys = [f"{name}{below}" for name in filter(is_key, names) for below in ("", "/below")]
    writers = [ctx.driver.open_writer(key) for key in keys]
    for writer in writers[::2]:
        writer.write(b"written")
    with ctx.foreign("dir") as names:
        for writer in writers:
            for end in (writer.flush, writer.close):
                with refused(FencedError, AccessDeniedError, UnsupportedOperationError, BackendUnavailableError):
                    end()
        assert scanned(ctx, "dir") == ([], names)
    assert ctx.stored() == []


@scenario(
    *("X2", "X1", "E1", "F3"),
    kills=("what-another-program-deleted-is-an-outage", "foreign-things-are-replaced"),
    needs=("foreign", "tamper"),
)
def a_thing_in_the_place_of_an_object_fences_its_writers(ctx: Context) -> None:
    """If another program puts any thing in the place of an object, writers from before raise ``FencedError``.

    In whatever state they are. A look finds no object, or is refused; once the thing is gone, the key can be used.
    """
    with ctx.foreign("dir") as names:
        keys = list(filter(is_key, names))
    for key in keys:
        ctx.driver.put(key, b"object")
    writers = [_begun(ctx, key, number % 4) for number, key in enumerate(keys)]
    for key in keys:
        ctx.tamper(key, "delete")
    with ctx.foreign("dir"):
        for key, writer in zip(keys, writers, strict=True):
            for _ in range(2):
                with refused(FencedError):
                    writer.flush()
            for ask in _ways_in(ctx.driver, key, "no version").values():
                with refused(PathNotFoundError, AccessDeniedError):
                    ask()
    assert ctx.stored() == []
    for key in keys:
        ctx.driver.put(key, b"made anew")
        ctx.expect(key, b"made anew")


def _begun(ctx: Context, key: str, state: int) -> Writer:
    """Open a writer; it has written nothing, or an append, or has flushed that and written more, or it rewrites."""
    writer = ctx.open().open_writer(key)
    if state == 3:
        writer.seek(0)
    if state:
        writer.write(b"written")
    if state == 2:
        writer.flush()
        writer.write(b"written")
    return writer


@scenario(
    *("D1", "D5", "D2"),
    kills=("deletes-only-what-is-empty-afterwards",),
    needs=("small_disk", "url"),
)
def a_delete_leaves_a_disk_that_is_mounted_below(ctx: Context) -> None:
    """A delete of a prefix in which a disk is mounted deletes all objects, again and again, and does not raise."""
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver:
            driver.put(f"{ctx.prefix}/top/d/e/key", b"object")
        with Elsewhere(ctx, opens) as there:
            there.run(_delete_around_a_disk, [path for path in folder.rglob("e") if path.is_dir()])


def _delete_around_a_disk(driver: CheckedDriver, places: list[Path]) -> None:
    for place in places:  # none, if directories are not those of the keys
        (place / "disk").mkdir()
        mount_small_disk(place / "disk", 4 << 20)
    for deleted in ("top/d/e/disk", "top/d/e", "top/d", "top"):
        for key in ("top/d/e/key", "top/d/f/key", "top/g"):
            driver.put(key, b"object")
        for _ in range(2):
            driver.delete(deleted)
            left = [key for key in keys_below(driver, "top") if f"{key}/".startswith(f"{deleted}/")]
            assert left == [], f"a delete of {deleted} left {left}"


@scenario("L6", kills=("directories-in-the-place-of-links-passed-over",), needs=("traced", "url"))
def a_directory_in_the_place_of_a_link_is_told_of(ctx: Context) -> None:
    """A directory in the place of a registry's link is foreign, even an empty one, or one of empty directories.

    The link that should be there may keep a blob in use.
    """
    real, other = link("a/b", f"sha256:{'a' * 64}"), link("a/b", f"sha256:{'b' * 64}")
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        driver.put(real, b"a link")
        for path in list(folder.rglob("link")):
            top = path.parents[len(real.split("/")) - 1]
            for inside in ("", "empty/deeper"):
                (top / other / inside).mkdir(parents=True, exist_ok=True)
                _expect_told(driver, other)
            (top / "beside" / "link" / "empty").mkdir(parents=True)
            assert _foreign_in(driver, "beside") == [], "it is in the place of no registry's link"


def _expect_told(driver: CheckedDriver, key: str) -> None:
    """Check that a scan of what is above an empty directory tells of it."""
    above = key.rpartition("/")[0]
    for prefix in (above, above.rpartition("/")[0]):
        told = _foreign_in(driver, prefix)
        assert told, f"{key} is a directory, and a scan of {prefix} does not tell of it"
        assert told[0].startswith(f"{key}/"), f"a scan of {prefix} tells of {told}"
    assert list(driver.list(above)) == []


def _foreign_in(driver: CheckedDriver, prefix: str) -> list[str]:
    return [each.name for each in driver.scan(prefix) if isinstance(each, Foreign)]


class _Names(PassingDriver):
    """Yields what its backend calls things, as a driver of files may, be that a key or not."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below a prefix of one segment."""
        yield from sorted({*self.inner.list(prefix), *(f"{prefix}/{name}" for name in (*TOLD, *HARMLESS, *LONG))})

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Yield the same."""
        return self.list(prefix)


LONG: Final = ("k" * 256, "k" * 256 + "/", "a b/", "a\nb", "a\n")
"""More names that are no keys."""


@scenario("K3", "L5", "L6", kills=("names-of-a-driver-are-not-checked", "names-that-are-no-keys-are-listed"))
def a_name_that_is_no_key_is_foreign_whoever_yields_it(ctx: Context) -> None:
    """Whatever names a driver yields, the front lists keys alone, and a scan tells of the others, less the harmless."""
    inner = ctx.open()
    driver = CheckedDriver(_Names(inner), inner.scheme)
    for key in ("d/key", "d/below/key"):
        driver.put(key, b"there")
    assert list(driver.list("d")) == ["d/below/", "d/key"]
    found = list(driver.scan("d"))
    assert [each for each in found if isinstance(each, str)] == ["d/below/", "d/key"]
    told = sorted(each.name for each in found if isinstance(each, Foreign))
    assert told == sorted(f"d/{name}" for name in (*TOLD, *LONG)), f"a scan tells of {told}"

"""Stores: one in any directory, beside another, one after the other, and made anew where another was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from layerstore import BackendUnavailableError, DriverError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.litter import HARMLESS
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, another_store, keep_house, store_in

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

NAMES = Axis(
    "name",
    {
        each: each
        for each in (
            "team#1",
            "50%",
            "%41",
            "a?b=c",
            "a b",
            "a+b",
            "a&b;c",
            "it's",
            'a"b',
            "\u00e4\u6f22",
            "a\\b",
            "~",
            "$HOME",
        )
    },
)
"""Names of a directory that mean something to somebody on the way."""

STORES = 24
"""Stores that are opened one after the other."""


@scenario("O1", "C3", kills=("paths-are-not-decoded",), rows=(12,), needs=("traced", "url"), axes=(NAMES,))
def a_store_may_lie_in_a_directory_of_any_name(ctx: Context, name: str) -> None:
    """A store in a directory with an odd name, percent-encoded in the URL, lies in that directory and nowhere else."""
    with a_folder() as folder:
        opens = store_in(ctx, folder / name)
        for data in (b"first", b"second"):
            with closing(ctx.at(opens)) as driver:
                driver.put("d/key", data)
                with closing(ctx.at(opens)) as another:
                    assert another.get("d/key", 100) == data
        assert any((folder / name).iterdir()), f"nothing lies in {name!r}"
        assert [each.name for each in folder.iterdir()] == [name], "something lies beside it"


@scenario("T3", "T4", kills=("drivers-leak",), rows=(163,), needs=("traced",))
def a_driver_that_is_closed_keeps_nothing_open(ctx: Context) -> None:
    """Stores opened, used and closed one after the other, however many, leave no descriptor open."""
    with a_folder() as folder:
        _use(ctx, folder / "first")  # what a process opens once stays
        before = descriptors()
        for number in range(STORES):
            _use(ctx, folder / f"store-{number}")
        more = descriptors() - before
        assert more < STORES // 2, f"{more} more descriptors are open after {STORES} stores were closed"


def _use(ctx: Context, directory: Path) -> None:
    with closing(ctx.at(store_in(ctx, directory))) as driver:
        driver.put("key", b"one")
        with driver.open_writer("key") as writer:
            writer.write(b"two")
        assert driver.get("key", 100) == b"onetwo"


@scenario("S2", "X1", "M4", kills=("version-is-a-hash",), rows=(74,), needs=("traced",))
def a_store_made_anew_has_other_versions(ctx: Context) -> None:
    """If all of a store is deleted and made anew by the same steps, no object has the version that it had before.

    A hash that was saved, or a move on a condition, is then not taken for one of the new object.
    """
    with a_folder() as folder:
        seen: dict[str, str] = {}
        for _ in range(3):
            opens = store_in(ctx, folder / "store")
            with closing(ctx.at(opens)) as driver:
                for key in ("one", "two"):
                    driver.put(key, b"the same")
                    with driver.open_writer(f"{key}-written") as writer:
                        writer.write(b"the same, written")
                for key in driver.list(""):
                    version = driver.stat(key).version
                    assert version not in seen, f"{key} has the version that {seen[version]} had, in a store of before"
                    seen[version] = key
            shutil.rmtree(folder / "store")


@scenario("E2", "X1", "S3", kills=("replaced-store-is-not-noticed",), rows=(2,), needs=("traced", "url", "shared"))
def a_store_that_another_has_replaced_is_not_used(ctx: Context) -> None:
    """If a store is renamed, and another one lies in its place, drivers that were open use the other one, or raise.

    A restored backup is put in place like this, and so is a disk that is mounted over a directory.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver, closing(ctx.at(opens)) as idle:
            for key in ("d/old", "d/both"):
                driver.put(key, b"of the old store")
            assert list(idle.list("d")) == ["d/both", "d/old"]
            opens_other = store_in(ctx, folder / "other")
            with closing(ctx.at(opens_other)) as other:
                other.put("d/both", b"of the new store")
            (folder / "store").rename(folder / "aside")
            (folder / "other").rename(folder / "store")
            for each in (driver, idle):
                with suppress(BackendUnavailableError):
                    assert each.find("d/old") is None, "an object of the old store is found"
                with suppress(BackendUnavailableError):
                    assert each.get("d/both", 100) == b"of the new store", "an object of the old store is read"
                with suppress(BackendUnavailableError):
                    assert list(each.list("d")) == ["d/both"], "the old store is listed"
            with suppress(BackendUnavailableError):
                driver.put("d/more", b"more")
                with closing(ctx.at(opens)) as other:
                    assert other.get("d/more", 100) == b"more", "what was put lies in the old store"


@scenario("T2", "W6", kills=("old-drafts-are-swept",), rows=(161,), needs=("traced", "url"))
def what_a_slow_writer_has_written_outlives_others(ctx: Context) -> None:
    """What a writer has not flushed is not removed by others, also if its files look days old.

    A client may be slow, and a clock may be set forward. Drivers that remove what dead writers left must not go by age.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver:
            driver.put("begun", b"")
            writers = [driver.open_writer(key) for key in ("d/one", "d/two")]
            for writer in writers:
                writer.write(bytes(MIB) + b"written")
            for path in folder.rglob("*"):
                os.utime(path, ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)
            with Elsewhere(ctx, opens) as there:
                there.run(keep_house)
            with closing(ctx.at(opens)) as another:
                keep_house(another)
            for writer in writers:
                writer.close()
        with closing(ctx.at(opens)) as driver:
            for key in ("d/one", "d/two"):
                ctx.same(driver.get(key, 2 * MIB), bytes(MIB) + b"written", key)


LONG_AGO = 10**18
"""Nanoseconds since 1970: the year 2001."""


@scenario("M1", "M3", kills=("a-move-onto-the-same-does-nothing",), rows=(94,), needs=("traced", "url"))
def a_move_of_a_file_with_two_names_leaves_one(ctx: Context) -> None:
    """If another program has linked an object's file to the target, a move there removes the source all the same.

    ``rename`` does nothing if both names are of one file.
    """
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        driver.put("d/source", b"of two names")
        for path in list(folder.rglob("d/source")):
            if path.is_file():
                os.link(path, path.with_name("target"))
        driver.move("d/source", "d/target")
        assert driver.get("d/target", 100) == b"of two names"
        assert driver.find("d/source") is None, "the source is still there"
        assert list(driver.list("d")) == ["d/target"]


@scenario(
    *("T2", "F3", "S1"),
    kills=("owners-of-all-stores", "objects-known-by-their-keys-alone"),
    rows=(120,),
    needs=("another",),
)
def two_stores_have_nothing_in_common(ctx: Context) -> None:
    """What is done to a key of one store is done to no key of another, which the same process has open.

    A table of a module, or a cache, that knows objects by their keys alone takes one store's for the other's.
    """
    with another_store(ctx) as other:
        for here, there in ((ctx.driver, other), (other, ctx.driver)):
            here.put("d/key", b"here")
            there.put("d/key", b"and there")
            writers = [each.open_writer("d/key") for each in (here, there)]
            for writer in writers:
                writer.write(b", more")
                writer.flush()
            for store, data in ((here, b"here, more"), (there, b"and there, more")):
                assert store.get("d/key", 100) == data
                assert store.stat("d/key").size == len(data), f"{store.stat('d/key').size} bytes of {len(data)}"
            here.put("d/only", b"only here")
            assert there.find("d/only") is None, "an object of another store is found"
            assert list(there.list("d")) == ["d/key"], "an object of another store is listed"
            there.put("d/only", b"also there")
            here.move("d/only", "d/moved")
            there.delete("d/key")
            writers[0].write(b", and more")
            writers[0].close()
            writers[1].discard()
            assert (here.get("d/key", 100), here.get("d/moved", 100)) == (b"here, more, and more", b"only here")
            here.delete("d")
            assert list(here.list("d")) == []
            assert list(there.list("d")) == ["d/only"], "a delete in one store has deleted in another"
            assert there.get("d/only", 100) == b"also there"
            there.delete("d")


def _nothing_but_looks(driver: CheckedDriver) -> None:
    """Call all that must not make a store."""
    for look in (
        lambda: driver.find("d/key"),
        lambda: driver.get("d/key", 10),
        lambda: list(driver.list("")),
        lambda: list(driver.scan("d")),
        lambda: driver.move("d/key", "d/other"),
        lambda: driver.delete("d"),
    ):
        with suppress(DriverError):
            look()


@scenario("O2", "E2", kills=("opening-makes-a-directory",), rows=(2,), needs=("traced", "url"))
def opening_and_looking_make_nothing_on_disk(ctx: Context) -> None:
    """To open a store where there is none, and to look for things in it, makes no file and no directory.

    A misspelt path, or a disk that is not mounted, would become an empty store, and its layers would be missing. A
    driver that keeps everything in one file may find the directory there, and no file.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        if not _is_there(ctx, opens):
            _look_twice(ctx, opens, folder / "store")
        (folder / "store").rmdir()
        _look_twice(ctx, opens, folder)


def _is_there(ctx: Context, opens: str | Callable[[], Driver]) -> bool:
    """Return whether a store can be listed."""
    try:
        with closing(ctx.at(opens)) as driver:
            list(driver.list(""))
    except BackendUnavailableError:
        return False
    return True


def _look_twice(ctx: Context, opens: str | Callable[[], Driver], folder: Path) -> None:
    for _ in range(2):
        with suppress(BackendUnavailableError), closing(ctx.at(opens)) as driver:
            _nothing_but_looks(driver)
        assert not list(folder.iterdir()), f"made by looks: {[each.name for each in folder.iterdir()]}"


@scenario("D5", "D1", kills=("harmless-files-deleted",), needs=("traced", "url"))
def a_delete_leaves_harmless_files(ctx: Context) -> None:
    """What a file manager or a file server leaves beside objects stays, also if all objects beside it are deleted."""
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        for key in ("up/dir/key", "up/dir/deeper/key", "up/key"):
            driver.put(key, b"object")
        beside = [path for path in folder.rglob("*") if path.is_dir() and path.name in {"up", "dir", "deeper"}]
        left = [path / name for path in beside for name in HARMLESS if not name.endswith("/")]
        for path in left:
            path.write_bytes(b"harmless")
        for key in ("up/dir/key", "up/dir", "up"):
            driver.delete(key)
            gone = [os.fspath(path.relative_to(folder)) for path in left if not path.exists()]
            assert not gone, f"a delete of {key} took {gone}"
        assert list(driver.list("up")) == []


NO_KEYS: Final = (("d" * 200,) * 5, ("a",) * 210, ("b c", "key"), (".hidden", "key"), ("x", "k\n"), ("\u00e4",))
"""Paths that no key has: some have too many characters or segments, and the others a segment that is none."""


@scenario("D5", "K1", kills=("paths-of-any-length-are-its-own",), needs=("traced", "url"))
def a_delete_leaves_files_that_no_key_names(ctx: Context) -> None:
    """Below a prefix that is deleted, files of other programs stay whose paths are no keys, be they merely too long."""
    with a_folder() as folder, closing(ctx.at(store_in(ctx, folder / "store"))) as driver:
        driver.put("up/dir/key", b"object")
        left = []
        for path in [path for path in folder.rglob("up/dir") if path.is_dir()]:
            for parts in NO_KEYS:
                left.append(path.joinpath(*parts, "theirs"))
                left[-1].parent.mkdir(parents=True)
                left[-1].write_bytes(b"of another program")
        for key in ("up/dir/key", "up/dir", "up"):
            driver.delete(key)
            gone = [os.fspath(path.relative_to(folder)) for path in left if not path.exists()]
            assert not gone, f"a delete of {key} took {gone}"
        assert list(driver.list("up")) == []

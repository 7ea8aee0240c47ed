"""Stores that are replaced behind an open driver, or made where it has found none: its next call sees what is there."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import BackendUnavailableError, DriverError, FencedError, PathNotFoundError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.another_python import command, environment
from layerstore_conformance.kit.keys import keys_below
from layerstore_conformance.kit.small_disk import mount_small_disk
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.promises.traced import opened
from layerstore_conformance.steps.points import MIB
from layerstore_conformance.steps.stores import a_folder, store_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from layerstore.checked import CheckedDriver
    from layerstore.driver import Driver, Writer
    from layerstore_conformance.engine.context import Context

GROUP = "primitives"

Objects = dict[str, bytes]

OLD: Final = b"of the old store"
NEW: Final = b"of the new store"
MORE: Final = b"more"
THERE: Final[Objects] = {"d/both": NEW}
"""What is in the new store."""


class Opened(NamedTuple):
    """A driver on a store that is then replaced, and its writers."""

    driver: CheckedDriver
    of_both: Writer
    """Of a key that the new store has, too."""
    of_old: Writer


def _look(there: Opened) -> Objects:
    assert there.driver.find("d/old") is None, "an object of the old store is found"
    return THERE


def _read(there: Opened) -> Objects:
    assert there.driver.get("d/both", 100) == NEW, "an object of the old store is read"
    return THERE


def _list(there: Opened) -> Objects:
    assert list(there.driver.list("d")) == ["d/both"], "the old store is listed"
    return THERE


def _put(there: Opened) -> Objects:
    there.driver.put("d/more", MORE)
    return {**THERE, "d/more": MORE}


def _append(there: Opened) -> Objects:
    with there.driver.open_writer("d/both") as writer:
        writer.write(MORE)
    return {"d/both": NEW + MORE}


def _move(there: Opened) -> Objects:
    there.driver.move("d/both", "d/moved")
    return {"d/moved": NEW}


def _move_what_is_gone(there: Opened) -> Objects:
    with suppress(PathNotFoundError):
        there.driver.move("d/old", "d/both")
        raise AssertionError("an object of the old store was moved")
    return THERE


def _delete(there: Opened) -> Objects:
    there.driver.delete("d/both")
    return {}


def _flush(there: Opened) -> Objects:
    there.of_both.flush()
    raise AssertionError("a writer of the old store has published")


def _write_and_flush(there: Opened) -> Objects:
    there.of_both.write(bytes(2 * MIB))
    return _flush(there)


def _flush_what_is_gone(there: Opened) -> Objects:
    there.of_old.flush()
    raise AssertionError("a writer of the old store has published")


FIRST = Axis(
    "first",
    {
        "stat": _look,
        "read": _read,
        "list": _list,
        "put": _put,
        "append": _append,
        "move": _move,
        "move what is gone": _move_what_is_gone,
        "delete": _delete,
        "flush": _flush,
        "write and flush": _write_and_flush,
        "flush what is gone": _flush_what_is_gone,
    },
)
"""The first call after the store was replaced: does it, if it can be done, and returns what there must be then."""


LINK = Axis("link", {"no link": "", "its directory is a link": "path/store", "one above it is": "path"})
"""What another program switches to put the other store, ``two/store``, in place of the one of ``path/store``."""


@scenario(
    *("E2", "E4", "X1", "X2", "C3"),
    kills=("replaced-store-is-not-noticed", "deletes-by-remembered-version"),
    rows=(2,),
    needs=("traced", "url", "shared"),
    axes=(FIRST, LINK),
)
def the_first_call_after_a_store_was_replaced_is_for_the_other(
    ctx: Context, first: Callable[[Opened], Objects], link: str
) -> None:
    """If another store lies in a store's place, the next call is done there, whichever it is, or raises.

    A backup was restored, a disk mounted, or a link switched. What a driver then stored elsewhere would be lost.
    """
    with a_folder() as folder, ExitStack() as end:
        for name in ("path", "two"):
            (folder / name).mkdir()
        opens = store_in(ctx, folder / "path" / "store")
        _link(folder, link)
        driver = end.enter_context(closing(ctx.at(opens)))
        there = Opened(driver, *(_begun(end, driver, key) for key in ("d/both", "d/old")))
        assert list(driver.list("d")) == ["d/both", "d/old"]
        _make(ctx, folder / "two" / "store", THERE)
        _switch(folder, link)
        wanted = THERE
        with suppress(BackendUnavailableError, FencedError):
            wanted = first(there)
        assert _found(ctx, opens) == wanted
        aside = ctx.harness.traced(folder / "one" / "store") if ctx.harness.traced else ""
        assert _found(ctx, aside) == {"d/both": OLD, "d/old": OLD}, "the old store was changed"


def _link(folder: Path, link: str) -> None:
    """Move the directory to where it is aside, and have a link lead to it; without one, make only room for it there."""
    aside = folder / link.replace("path", "one")
    if link != "path":
        (folder / "one").mkdir()
    if link:
        (folder / link).rename(aside)
        (folder / link).symlink_to(aside)


def _switch(folder: Path, link: str) -> None:
    if link:
        (folder / "new").symlink_to(folder / link.replace("path", "two"))
        (folder / "new").replace(folder / link)
    else:
        (folder / "path" / "store").rename(folder / "one" / "store")
        (folder / "two" / "store").rename(folder / "path" / "store")


def _begun(end: ExitStack, driver: CheckedDriver, key: str) -> Writer:
    """Put an object, and begin to write to it."""
    driver.put(key, OLD)
    writer = driver.open_writer(key)
    end.callback(writer.discard)
    writer.write(bytes(2 * MIB))
    return writer


def _make(ctx: Context, directory: Path, objects: Objects) -> None:
    with closing(ctx.at(store_in(ctx, directory))) as driver:
        driver.put("begun", b"")
        driver.delete("begun")
        for key, data in objects.items():
            driver.put(key, data)


def _found(ctx: Context, opens: str | Callable[[], Driver]) -> Objects:
    with closing(ctx.at(opens)) as driver:
        return {key: driver.get(key, 10 * MIB) for key in keys_below(driver, "")}


@scenario(
    *("E2", "X1"),
    kills=("replaced-store-is-not-noticed",),
    rows=(2,),
    needs=("small_disk", "url", "shared"),
    profile="default",
)
def a_disk_that_is_mounted_over_a_store_is_the_store_now(ctx: Context) -> None:
    """If a disk with another store is mounted over a store's directory, a driver that was open finds that other store.

    The files of a fresh disk may have the very numbers that those below it have.
    """
    with a_folder() as folder:
        opens = store_in(ctx, folder / "store")
        assert isinstance(opens, str), "needs url"
        with Elsewhere(ctx, opens) as there:
            there.run(_mounted_over, folder / "store", f"{ctx.prefix}/d/new", opens)


def _mounted_over(driver: CheckedDriver, directory: Path, key: str, opens: str) -> None:
    mount_small_disk(directory, DISK)
    driver.put("d/old", OLD)
    mount_small_disk(directory, DISK)
    subprocess.run(command("-c", PUT, opens, key), env=environment(), check=True)
    assert driver.find("d/old") is None, "an object of the store below is found"
    assert list(driver.list("d")) == ["d/new"], "the store below is listed"
    driver.put("d/more", MORE)
    assert list(driver.list("d")) == ["d/more", "d/new"]


DISK: Final = 8 * MIB
"""Bytes of a disk."""

PUT: Final = "import sys, layerstore; layerstore.open_driver(sys.argv[1]).put(sys.argv[2], b'new')"
"""A program that opens a store and puts an object."""


def _find(driver: CheckedDriver) -> None:
    assert driver.find("d/key") is not None, "no object is found"


def _get(driver: CheckedDriver) -> None:
    assert driver.get("d/key", 100) == MORE


def _listed(driver: CheckedDriver) -> None:
    assert list(driver.list("")) == ["d/"], "nothing is listed"


def _scanned(driver: CheckedDriver) -> None:
    assert list(driver.scan("d")) == ["d/key"], "nothing is scanned"


def _move_back(driver: CheckedDriver) -> None:
    driver.move("d/key", "d/moved")
    driver.move("d/moved", "d/key")


def _delete_nothing(driver: CheckedDriver) -> None:
    driver.delete("e")


LOOKS: Final = (_find, _get, _listed, _scanned, _move_back, _delete_nothing)


def _nothing(directory: Path, _model: Path) -> None:
    directory.rmdir()


def _empty_directory(directory: Path, _model: Path) -> None:
    assert not list(directory.iterdir())


def _empty_files(directory: Path, model: Path) -> None:
    """Make what a process leaves that was killed when it had made its files, and written nothing into them."""
    for path in sorted(model.rglob("*")):
        made = directory / path.relative_to(model)
        if path.is_dir():
            made.mkdir()
        elif path.is_file():
            made.touch()


BEFORE = Axis("before", {"nothing": _nothing, "an empty directory": _empty_directory, "empty files": _empty_files})
"""What is in the store's place before it is made: takes its directory, and that of a store that holds nothing."""


@scenario(
    *("E2", "C3"),
    kills=("missing-store-is-remembered",),
    rows=(2,),
    needs=("traced", "url", "shared"),
    axes=(BEFORE,),
    profile="default",
)
def a_store_that_another_process_makes_is_seen(ctx: Context, before: Callable[[Path, Path], None]) -> None:
    """A driver that has looked in vain, in whatever way, finds the store that another process has made since."""
    with a_folder() as folder, ctx.handles():
        opens = store_in(ctx, folder / "store")
        handles = [ctx.at(opens) for _ in LOOKS]
        _make(ctx, folder / "model", {})
        before(folder / "store", folder / "model")
        for look, driver in zip(LOOKS, handles, strict=True):
            for _ in range(2):
                with suppress(DriverError, AssertionError):
                    look(driver)
        (folder / "store").mkdir(exist_ok=True)
        with Elsewhere(ctx) as there:
            there.run(_put_more, opens)
        for driver in handles:
            for look in LOOKS:
                look(driver)


def _put_more(_driver: CheckedDriver, opens: str | Callable[[], Driver]) -> None:
    with closing(opened(opens)) as driver:
        driver.put("d/key", MORE)

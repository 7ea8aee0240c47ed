"""Stores: one in any directory, one after the other, and one that is made anew where another was."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import quote

from layerstore import BackendUnavailableError
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.steps.points import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


def _store_in(ctx: Context, directory: Path) -> str | Callable[[], Driver]:
    """Make a directory, of any name, and return what opens a store that keeps everything in it."""
    assert ctx.harness.traced is not None, "needs traced"
    directory.mkdir()
    opens = ctx.harness.traced(plain := directory.with_name("plain"))
    return opens.replace(str(plain), quote(str(directory))) if isinstance(opens, str) else ctx.harness.traced(directory)


@scenario("O1", "C3", kills=("paths-are-not-decoded",), rows=(12,), needs=("traced", "url"), axes=(NAMES,))
def a_store_may_lie_in_a_directory_of_any_name(ctx: Context, name: str) -> None:
    """A store in a directory with an odd name, percent-encoded in the URL, lies in that directory and nowhere else."""
    with _folder() as folder:
        opens = _store_in(ctx, folder / name)
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
    with _folder() as folder:
        _use(ctx, folder / "first")  # what a process opens once stays
        before = descriptors()
        for number in range(STORES):
            _use(ctx, folder / f"store-{number}")
        more = descriptors() - before
        assert more < STORES // 2, f"{more} more descriptors are open after {STORES} stores were closed"


def _use(ctx: Context, directory: Path) -> None:
    with closing(ctx.at(_store_in(ctx, directory))) as driver:
        driver.put("key", b"one")
        with driver.open_writer("key") as writer:
            writer.write(b"two")
        assert driver.get("key", 100) == b"onetwo"


@scenario("S2", "X1", "M4", kills=("version-is-a-hash",), rows=(74,), needs=("traced",))
def a_store_made_anew_has_other_versions(ctx: Context) -> None:
    """If all of a store is deleted and made anew by the same steps, no object has the version that it had before.

    A hash that was saved, or a move on a condition, is then not taken for one of the new object.
    """
    with _folder() as folder:
        seen: dict[str, str] = {}
        for _ in range(3):
            opens = _store_in(ctx, folder / "store")
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
    with _folder() as folder:
        opens = _store_in(ctx, folder / "store")
        with closing(ctx.at(opens)) as driver, closing(ctx.at(opens)) as idle:
            for key in ("d/old", "d/both"):
                driver.put(key, b"of the old store")
            assert list(idle.list("d")) == ["d/both", "d/old"]
            (folder / "store").rename(folder / "aside")
            opens = _store_in(ctx, folder / "store")
            with closing(ctx.at(opens)) as other:
                other.put("d/both", b"of the new store")
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


@scenario("T4", "W7", kills=("what-was-discarded-is-kept-aside",), rows=(161, 163), needs=("traced",))
def what_was_discarded_takes_no_room(ctx: Context) -> None:
    """Writers that are discarded give back the room that their bytes took, while their process goes on."""
    with _folder() as folder, closing(ctx.at(_store_in(ctx, folder / "store"))) as driver:
        driver.put("old", b"old")
        for _ in range(4):  # room that is kept to be used again
            _write_and_discard(driver)
        before = _room(folder)
        for _ in range(STORES):
            _write_and_discard(driver)
        more = (_room(folder) - before) // MIB
        assert more < STORES // 2, f"{more} MiB more are in use after {2 * STORES} MiB were discarded"


def _write_and_discard(driver: CheckedDriver) -> None:
    for key in ("old", f"new-{token_hex(4)}"):
        writer = driver.open_writer(key)
        writer.write(bytes(MIB))
        writer.discard()


def _room(folder: Path) -> int:
    """Return how many bytes all files have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

"""Other stores than the scenario's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.prefixed import PrefixedDriver

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context


@contextmanager
def a_folder() -> Iterator[Path]:
    """Make a folder for the block."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made).resolve()


def store_in(ctx: Context, directory: Path) -> str | Callable[[], Driver]:
    """Make a directory, of any name, and return what opens a store in it, for scenarios that need ``traced``."""
    assert ctx.harness.traced is not None, "needs traced"
    directory.mkdir()
    opens = ctx.harness.traced(plain := directory.with_name("plain"))
    return opens.replace(str(plain), quote(str(directory))) if isinstance(opens, str) else ctx.harness.traced(directory)


@contextmanager
def another_store(ctx: Context) -> Iterator[CheckedDriver]:
    """Open a handle on another store, whose keys have the same prefix, for scenarios that need ``another``."""
    with a_folder() as folder:
        opens = ctx.harness.another or store_in(ctx, folder / "another")
        with closing(ctx.at(opens)) as driver:
            try:
                yield CheckedDriver(PrefixedDriver(driver, ctx.prefix))
            finally:
                driver.delete(ctx.prefix)


class Room(NamedTuple):
    """What all files below a directory take."""

    files: int
    size: int
    """Bytes."""


def room_of(folder: Path) -> Room:
    """Return what the files below a directory take now."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Room(len(sizes), sum(sizes))


def keep_house(driver: CheckedDriver) -> None:
    """Do what may remove what dead processes left."""
    driver.put("house/one", b"one")
    with driver.open_writer("house/one") as writer:
        writer.write(b"more")
    list(driver.scan(""))
    driver.delete("house")

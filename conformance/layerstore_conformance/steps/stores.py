"""Other stores than the scenario's, each in a directory of its own, for scenarios that need ``traced``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore_conformance.engine.context import Context


@contextmanager
def a_folder() -> Iterator[Path]:
    """Make a folder for the block."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made).resolve()


def store_in(ctx: Context, directory: Path) -> str | Callable[[], Driver]:
    """Make a directory, of any name, and return what opens a store that keeps everything in it."""
    assert ctx.harness.traced is not None, "needs traced"
    directory.mkdir()
    opens = ctx.harness.traced(plain := directory.with_name("plain"))
    return opens.replace(str(plain), quote(str(directory))) if isinstance(opens, str) else ctx.harness.traced(directory)


class Room(NamedTuple):
    """What all files below a directory take."""

    files: int
    size: int
    """Bytes."""


def room_of(folder: Path) -> Room:
    """Return what the files below a directory take now."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Room(len(sizes), sum(sizes))

"""Take a directory away for a while: it has another name meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from shutil import rmtree


def renaming(root: Path) -> Callable[[], AbstractContextManager[None]]:
    """Return what takes a directory away for a block, as a disk that is unmounted; the ``away`` of a harness."""

    @contextmanager
    def away() -> Iterator[None]:
        elsewhere = root.rename(root.with_name("away"))
        try:
            yield
        finally:
            made_anew = root.exists()
            if made_anew:
                rmtree(root)
            elsewhere.rename(root)
            assert not made_anew, "it was made anew"

    return away

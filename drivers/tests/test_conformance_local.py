"""The whole suite, on the local driver; observed through the files themselves."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore import PathNotFoundError
from layerstore.keys import is_key
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.renaming import renaming
from layerstore_conformance.other_programs import littering, tampering
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.local.driver import LocalDriver

if TYPE_CHECKING:
    from tests.local_calls import counted
    from tests.local_rebuilt import rebuilt
else:
    from local_calls import counted
    from local_rebuilt import rebuilt


class Files:
    """The side door: the directory."""

    def __init__(self, root: Path) -> None:
        """Look below a root."""
        self.root = root

    def read(self, key: str) -> bytes | None:
        """Return what is in a file, up to where it is published: beyond may lie what a writer has not flushed."""
        with suppress(PathNotFoundError), closing(LocalDriver(self.root)) as driver:
            return (self.root / key).read_bytes()[: driver.stat(key).size]
        return None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every file's path that is a key."""
        for path in (self.root / prefix).rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and not path.is_symlink() and is_key(key):
                yield key


@contextmanager
def between_calls(act: Callable[[], None]) -> Iterator[None]:
    """Do something before each system call of the driver."""
    with counted(lambda name: act()):
        yield


@pytest.fixture(scope="session")
def layerstore_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a store in a directory, which every scenario leaves as empty as it was."""
    root = tmp_path_factory.mktemp("conformance")
    door = Files(root / "store")
    yield Harness(
        f"local://{root}/store",
        side_door=door,
        tamper=tampering(door.root, door.read),
        foreign=littering(door.root),
        between_requests=between_calls,
        traced=lambda directory: f"local://{directory}",
        rebuilt=rebuilt,
        missing=f"local://{root}/not/there",
        away=renaming(door.root),
    )
    assert list(door.keys("")) == []

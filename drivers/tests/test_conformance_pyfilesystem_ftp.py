"""The whole suite, on PyFilesystem2's FTPFS and a real server; observed through the files that it serves."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.harness import Harness, How
from layerstore_conformance.other_programs import littering, tampering
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)

if TYPE_CHECKING:
    from tests.ftp_server import FTPServer
    from tests.pyfilesystem_files import Files
else:
    from ftp_server import FTPServer
    from pyfilesystem_files import Files


def by_the_second(tamper: Callable[[str, How], None], root: Path) -> Callable[[str, How], None]:
    """Return what changes files, and leaves each dated a second later than before: all that a server tells of times."""

    def later(key: str, how: How) -> None:
        path = root / key
        before = path.stat().st_mtime if path.exists() else None
        tamper(key, how)
        if path.exists() and before is not None:
            os.utime(path, (before + 1, before + 1))

    return later


@pytest.fixture(scope="session")
def layerstore_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a store on a server, which every scenario leaves as empty as it was."""
    root = tmp_path_factory.mktemp("ftp")
    door = Files(root / "store")
    with FTPServer(root) as server:
        yield Harness(
            server.url("store"),
            side_door=door,
            tamper=by_the_second(tampering(door.root, door.read), door.root),
            foreign=littering(door.root, served=True),
            missing=server.url("missing"),
            restart=server.restart,
            cut=server.cut,
            scale=0.1,
        )
    assert door.left() == []

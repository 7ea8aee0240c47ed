"""The whole suite, on PyFilesystem2's FTPFS and a real server; observed through the files that it serves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)

if TYPE_CHECKING:
    from tests.ftp_server import FTPServer
    from tests.other_programs import by_the_second, littering, tampering
    from tests.pyfilesystem_files import Files
else:
    from ftp_server import FTPServer
    from other_programs import by_the_second, littering, tampering
    from pyfilesystem_files import Files


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

"""The whole suite, on the filesystems of PyFilesystem2 that the bridge knows; observed through files where it can be."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("fs", reason="the extra pyfilesystem is not installed", exc_type=ImportError)

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)

if TYPE_CHECKING:
    from tests.ftp_server import FTPServer
else:
    from ftp_server import FTPServer


class Files:
    """The side door: the directory."""

    def __init__(self, root: Path) -> None:
        """Look below a root."""
        self.root = root

    def read(self, key: str) -> bytes | None:
        """Return what is in a file."""
        path = self.root / key
        return path.read_bytes() if path.is_file() else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every file's path but those of the driver's own."""
        for path in (self.root / prefix).rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and not key.startswith("."):
                yield key


def on_disk(root: Path) -> Iterator[Harness]:
    """Offer a directory."""
    yield Harness(f"pyfs+osfs://{root}/store", side_door=Files(root / "store"), missing=f"pyfs+osfs://{root}/missing")


def on_a_server(root: Path) -> Iterator[Harness]:
    """Offer a directory of an FTP server's."""
    with FTPServer(root) as server:
        yield Harness(
            server.url("store"),
            side_door=Files(root / "store"),
            missing=server.url("missing"),
            restart=server.restart,
            cut=server.cut,
            scale=0.3,
        )


@pytest.fixture(scope="session", params=["mem", "osfs", "temp", "ftp"])
def layerstore_harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a store, which every scenario leaves as empty as it was."""
    root = tmp_path_factory.mktemp("pyfilesystem")
    (root / "store").mkdir()
    if request.param in {"mem", "temp"}:
        yield Harness(f"pyfs+{request.param}://conformance")
    else:
        yield from (on_disk if request.param == "osfs" else on_a_server)(root)
    assert [path for path in (root / "store").rglob("*") if path.name != ".layerstore"] == []

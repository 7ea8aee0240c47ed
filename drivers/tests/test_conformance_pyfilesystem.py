"""The whole suite, on PyFilesystem2's OSFS; observed through the files themselves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.other_programs import littering, tampering
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)

if TYPE_CHECKING:
    from tests.pyfilesystem_files import Files
else:
    from pyfilesystem_files import Files


@pytest.fixture(scope="session")
def layerstore_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a store in a directory, which every scenario leaves as empty as it was."""
    root = tmp_path_factory.mktemp("osfs")
    door = Files(root / "store")
    yield Harness(
        f"pyfs+osfs://{root}/store",
        side_door=door,
        tamper=tampering(door.root, door.read),
        foreign=littering(door.root),
        missing=f"pyfs+osfs://{root}/missing",
    )
    assert door.left() == []

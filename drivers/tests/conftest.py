"""Stores for tests that no scenario can be, and the server that the tests of the Azure driver share."""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver
from layerstore.url import StoreURL
from layerstore_drivers.azure.emulator import Azurite, EmulatorError, find
from layerstore_drivers.local import LocalDriver, system
from layerstore_drivers.memory import MemoryDriver

if TYPE_CHECKING:
    from layerstore_drivers.s3.servers import Server

_numbers = itertools.count()

# tox -e pyfilesystem has it, and names the files: there they are missed.
collect_ignore_glob = [] if find_spec("fs") else ["test_*pyfilesystem*.py"]
# tox -e s3 has the SDK and its servers.
collect_ignore_glob += [] if find_spec("boto3") else ["test_*s3*.py", "s3_*.py"]

# Modules that several test files, and their children, share: in importlib mode pytest leaves sys.path alone.
if str(Path(__file__).parent) not in sys.path:
    sys.path.append(str(Path(__file__).parent))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks a server: ``-m azurite`` or ``-m s3``, or ``-m "not azurite"`` where there is none."""
    for item in items:
        if "azurite" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.azurite)
        if {"moto", "seaweedfs"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.s3)


def _open(kind: type[Driver], url: StoreURL) -> CheckedDriver:
    return CheckedDriver(kind.open(url), url.scheme)


@pytest.fixture(params=[MemoryDriver, LocalDriver], ids=["memory", "local"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Callable[[], CheckedDriver]]:
    """Make new empty stores; each opens a fresh driver on itself whenever it is called."""
    kind: type[Driver] = request.param

    def make() -> Callable[[], CheckedDriver]:
        root = tmp_path / f"store-{next(_numbers)}"
        root.mkdir()
        where = {LocalDriver: StoreURL("local", None, str(root)), MemoryDriver: StoreURL("memory", root.name)}
        return partial(_open, kind, where[kind])

    return make


@pytest.fixture(params=["openat2", pytest.param("by steps", marks=pytest.mark.once)])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the local driver find paths by either of its two ways, or skip where the system has but one."""
    if request.param == "by steps":
        monkeypatch.setattr(system, "_openat2", lambda: None)
    elif system._openat2() is None:
        pytest.skip("the system has no openat2, or forbids it")
    return str(request.param)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Serve one Azurite for all tests of the run, or skip where there is none; it keeps its data when restarted."""
    try:
        find()
    except EmulatorError as error:
        if "LAYERSTORE_CI" in os.environ:
            raise
        pytest.skip(str(error))
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


def _served(kind: str, directory: Path) -> "Iterator[Server]":
    from layerstore_drivers.s3.servers import SERVERS  # late: it needs the SDK

    if missing := SERVERS[kind].missing():
        if "LAYERSTORE_CI" in os.environ:
            raise RuntimeError(missing)
        pytest.skip(f"pip install {missing}")
    with SERVERS[kind](directory) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """Serve one moto for all tests of the run, or skip where there is none."""
    yield from _served("moto", tmp_path_factory.mktemp("moto"))


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """Serve one SeaweedFS for all tests of the run, or skip where there is none."""
    yield from _served("seaweedfs", tmp_path_factory.mktemp("seaweedfs"))

"""Stores for the tests of the contract: every test runs on each driver that can run without a server."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver
from layerstore.url import StoreURL
from layerstore_drivers.local import LocalDriver
from layerstore_drivers.memory import MemoryDriver

_numbers = itertools.count()


@dataclass
class Store:
    """A store, which opens a fresh driver on itself whenever it is called."""

    kind: type[Driver]
    url: StoreURL

    def __call__(self) -> CheckedDriver:
        """Open a fresh driver."""
        return CheckedDriver(self.kind.open(self.url), self.url.scheme)

    def run(self, code: str) -> int:
        """Run code in a process of its own, where ``driver`` is a driver on this store, and return how it ended."""
        kind = self.kind.__name__
        opened = f"""if True:
            from layerstore.checked import CheckedDriver
            from layerstore.url import StoreURL
            from {self.kind.__module__} import {kind}
            driver = CheckedDriver({kind}.open(StoreURL.parse({str(self.url)!r})))
        """
        path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, "-c", f"{opened}\n{code}"], env=path, check=False, timeout=60).returncode


@pytest.fixture(params=[MemoryDriver, LocalDriver], ids=["memory", "local"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Make new empty stores."""
    kind: type[Driver] = request.param

    def make() -> Store:
        root = tmp_path / f"store-{next(_numbers)}"
        root.mkdir()
        where = {LocalDriver: StoreURL("local", None, str(root)), MemoryDriver: StoreURL("memory", root.name)}
        return Store(kind, where[kind])

    return make


@pytest.fixture
def open_store(new_store: Callable[[], Store]) -> Store:
    """Return the test's one store."""
    return new_store()


@pytest.fixture
def driver(open_store: Store) -> CheckedDriver:
    """Return the driver the test acts through."""
    return open_store()


@pytest.fixture
def other(open_store: Store) -> CheckedDriver:
    """Return the side door: a second driver on the same store, through which the test observes."""
    return open_store()


@pytest.fixture
def in_child(open_store: Store) -> Callable[[str], int]:
    """Run code in another process on the same store, or skip where the driver promises nothing across processes."""
    if not open_store().capabilities.shared:
        pytest.skip("the driver does not declare shared")
    return open_store.run

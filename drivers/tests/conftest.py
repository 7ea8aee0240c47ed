"""Stores for tests that no scenario can be."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver
from layerstore.url import StoreURL
from layerstore_drivers.local import LocalDriver
from layerstore_drivers.memory import MemoryDriver

_numbers = itertools.count()


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

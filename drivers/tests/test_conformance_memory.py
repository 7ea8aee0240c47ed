"""The whole suite, on the memory driver."""

from contextlib import closing

import pytest

from layerstore import StoreURL
from layerstore_conformance.harness import Harness, How, changed
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.memory import MemoryDriver

URL = StoreURL("memory", "conformance")


def tamper(key: str, how: How) -> None:
    """Change an object by another handle: no other program can."""
    with closing(MemoryDriver.open(URL)) as driver:
        data = changed(b"" if how == "make" else driver.open_reader(key).readall(), how)
        if data is None or how.startswith("remake"):
            driver.delete(key)
        if data is not None:
            driver.put(key, data)


@pytest.fixture(scope="session")
def layerstore_harness() -> Harness:
    """Return a store in this process."""
    return Harness(str(URL), tamper=tamper, another="memory://another")

"""The whole suite, on the memory driver."""

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)


@pytest.fixture(scope="session")
def layerstore_harness() -> Harness:
    """Return a store in this process."""
    return Harness("memory://conformance")

"""The whole suite, on PyFilesystem2's TempFS."""

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)


@pytest.fixture(scope="session")
def layerstore_harness() -> Harness:
    """Return a store in this process."""
    return Harness("pyfs+temp://conformance")

"""The whole suite, on a store in a file."""

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (the suite's tests become this module's)


@pytest.fixture(scope="session")
def layerstore_harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """Give the suite a store, and the URL of one that there is not."""
    folder = tmp_path_factory.mktemp("conformance")
    return Harness(f"sqlite://{folder}/store.db", missing=f"sqlite://{folder}/none.db")

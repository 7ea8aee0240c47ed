"""The whole suite, on a store in a file."""

import pytest

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (the suite's tests become this module's)
from layerstore_sqlite import store


@pytest.fixture(scope="session")
def layerstore_harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """Give the suite a store, the URL of one that there is not, and a way to break what connections there are."""
    folder = tmp_path_factory.mktemp("conformance")

    def lose_connections() -> None:
        """Close them behind their users, as a fork does. There is no server: a restart is no more than that."""
        store.close(*store._connections)

    return Harness(
        f"sqlite://{folder}/store.db",
        missing=f"sqlite://{folder}/none.db",
        cut=lose_connections,
        restart=lose_connections,
    )

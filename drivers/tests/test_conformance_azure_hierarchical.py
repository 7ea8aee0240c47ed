"""The whole suite, on the Azure driver and what behaves as an account with a hierarchical namespace."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_hierarchical import FOLDER, SCHEME, install
    from tests.azure_strict import ACCOUNT
    from tests.test_conformance_azure import PREFIX, Bucket, between_requests, cut
else:
    from azure_hierarchical import FOLDER, SCHEME, install
    from azure_strict import ACCOUNT
    from test_conformance_azure import PREFIX, Bucket, between_requests, cut

pytestmark = pytest.mark.xdist_group("azurite")


class Tree(Bucket):
    """The side door: folders are no objects."""

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a blob that are published."""
        if key in self._folders(key):
            return None
        return super().read(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the name of every blob of which something is published."""
        folders = self._folders(prefix)
        return (key for key in super().keys(prefix) if key not in folders)

    def _folders(self, prefix: str) -> set[str]:
        there = self.container.list_blobs(PREFIX + prefix, include=["metadata"])
        return {blob.name.removeprefix(PREFIX) for blob in there if blob.metadata == FOLDER}


@pytest.fixture(scope="session")
def layerstore_harness(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a store in a container of its own, opened by a scheme of its own, here and in every child."""
    install(tmp_path_factory.mktemp("azure-hierarchical"))
    container = ContainerClient(azurite.endpoint, "hierarchical", ACCOUNT)
    container.create_container()
    url = f"{SCHEME}://devstoreaccount1/{{}}?block_size={1 << 19}&endpoint={azurite.endpoint}&hierarchical=true"
    yield Harness(
        url.format(f"hierarchical/{PREFIX.rstrip('/')}"),
        side_door=Tree(container),
        missing=url.format("missing"),
        restart=azurite.restart,
        cut=lambda: cut(azurite.port),
        between_requests=between_requests,
    )
    sys.path.pop()
    left = [blob.name for blob in container.list_blobs(include=["metadata"]) if blob.metadata != FOLDER]
    assert left == []
    container.close()

"""The whole suite, on the Azure driver behind a transport that refuses what Azure refuses and Azurite does not."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient

from layerstore_conformance.harness import Harness
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.azure.emulator import Azurite

if TYPE_CHECKING:
    from tests.azure_strict import ACCOUNT
    from tests.azure_strict_driver import SCHEME, install
    from tests.test_conformance_azure import PREFIX, Bucket, between_requests, cut
else:
    from azure_strict import ACCOUNT
    from azure_strict_driver import SCHEME, install
    from test_conformance_azure import PREFIX, Bucket, between_requests, cut

pytestmark = pytest.mark.xdist_group("azurite")


@pytest.fixture(scope="session")
def layerstore_harness(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a store in a container of its own, opened by a scheme of its own, here and in every child."""
    install(tmp_path_factory.mktemp("azure-strict"))
    container = ContainerClient(azurite.endpoint, "strict", ACCOUNT)
    container.create_container()
    door = Bucket(container)
    url = f"{SCHEME}://devstoreaccount1/{{}}?block_size={1 << 19}&endpoint={azurite.endpoint}"
    yield Harness(
        url.format(f"strict/{PREFIX.rstrip('/')}"),
        side_door=door,
        # No tamper: it makes append blobs, over which this transport, as the service, lets nothing be put.
        foreign=door.foreign,
        missing=url.format("missing"),
        restart=azurite.restart,
        cut=lambda: cut(azurite.port),
        between_requests=between_requests,
    )
    sys.path.pop()
    assert [blob.name for blob in container.list_blobs()] == []
    container.close()

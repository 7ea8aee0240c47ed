"""A storm on the Azure driver: three processes on one container."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from layerstore_conformance.storm.command import lines
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.storm import Storm
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")


@pytest.fixture
def url(azurite: Azurite) -> Iterator[str]:
    """Make a container, and return the URL of a store in it, with small blocks."""
    account = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    with ContainerClient(azurite.endpoint, f"storm-{uuid.uuid4().hex}", account) as container:
        container.create_container()
        yield azurite.url(container.container_name, block_size=str(1 << 18))
        container.delete_container()


def test_a_container_comes_through_a_storm(url: str, tmp_path: Path) -> None:
    """In any storm of kills, each layer hashes to its digest, and each acknowledged finish is there."""
    # A move is a copy and a deletion: nothing that a process may be stopped at is old enough to be collected.
    storm = Storm(Plan(url, "storm", tmp_path, operations=250, processes=3, calm=12, grace=20, deadline=120))
    storm.run()
    assert storm.violations == [], "\n".join(lines(storm))
    assert storm.layers

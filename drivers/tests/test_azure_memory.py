"""How much memory the Azure driver takes at its default settings, which is what it declares (clause C6)."""

import os

import pytest
from azure.storage.blob import ContainerClient

from layerstore import open_driver
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import Scenario, selected
from layerstore_conformance.harness import Harness
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite

BOUNDED = [each for each in selected("default", ("leaks",)) if "C6" in each.clauses]

MIB = 1 << 20


@pytest.fixture
def url(azurite: Azurite) -> str:
    """Return the URL of a store in a container, every setting left at its default."""
    name = f"memory-{os.getpid()}"
    key = {"account_name": "devstoreaccount1", "account_key": EMULATOR_KEY}
    with ContainerClient(azurite.endpoint, name, key) as container:
        if not container.exists():
            container.create_container()
    return azurite.url(name)


@pytest.mark.parametrize("scenario", BOUNDED, ids=lambda each: each.id)
def test_the_default_settings_keep_to_what_they_declare(url: str, scenario: Scenario) -> None:
    """Layers larger than the blocks under way are stored and verified within the declared bound."""
    result = run(scenario, Harness(url))
    assert result.outcome == "passed", result.reason


def test_the_bound_follows_the_settings() -> None:
    """Fewer and smaller blocks are declared as what they take."""
    url = "azure://account/container"
    default = open_driver(url, account_key=EMULATOR_KEY)
    small = open_driver(url, account_key=EMULATOR_KEY, block_size=MIB, concurrency=1)
    assert (default.capabilities.memory, small.capabilities.memory) == (48 * MIB, 10 * MIB)

"""How much memory the Azure driver takes at its default settings, which is what it declares (clause C6)."""

import os
import tracemalloc

import pytest
from azure.storage.blob import ContainerClient

from layerstore import open_driver
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import Scenario, selected
from layerstore_conformance.harness import Harness
from layerstore_drivers.azure.blocks import DOUBLED_EVERY, FIRST, LARGEST, MAX_BLOCKS, block_size, count_of
from layerstore_drivers.azure.credentials import EMULATOR_KEY
from layerstore_drivers.azure.emulator import Azurite
from layerstore_drivers.azure.options import RECORD

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


@pytest.mark.parametrize("concurrency", [4, 1])
@pytest.mark.parametrize("scenario", BOUNDED, ids=lambda each: each.id)
def test_the_settings_keep_to_what_they_declare(url: str, scenario: Scenario, concurrency: int) -> None:
    """Layers larger than the blocks under way are stored and verified within the declared bound, by many or by one."""
    result = run(scenario, Harness(f"{url}&concurrency={concurrency}"))
    assert result.outcome == "passed", result.reason


def test_the_bound_follows_the_settings() -> None:
    """Fewer and smaller blocks are declared as what they take, and so is the list of many small ones."""
    url = "azure://account/container"
    default = open_driver(url, account_key=EMULATOR_KEY)
    fewer = open_driver(url, account_key=EMULATOR_KEY, concurrency=1)
    smaller = open_driver(url, account_key=EMULATOR_KEY, block_size=MIB)
    declared = [each.capabilities.memory for each in (default, fewer, smaller)]
    assert declared == [48 * MIB, 32 * MIB, 8 * MIB + 20_480 * RECORD]


@pytest.mark.parametrize("first", [1, 1000, 1 << 19, FIRST, LARGEST, 2 * LARGEST])
def test_the_blocks_of_an_object_are_counted(first: int) -> None:
    """As many as there are if one is laid behind the other."""
    sizes = [0, 1, first, first * DOUBLED_EVERY, first * DOUBLED_EVERY + 1, 64 << 30, (64 << 30) + 1]
    for size in sizes:
        end = count = 0
        while end < size and count < MAX_BLOCKS:
            end, count = end + block_size(end, first), count + 1
        assert count_of(size, first) == count


def test_the_list_of_the_blocks_takes_what_is_declared(azurite: Azurite) -> None:
    """Each block of an object takes no more while a writer of it is opened."""
    store = open_driver(azurite.url("records", create_container="true", block_size="1"))
    counts, most = (10, 500), list[int]()
    for count in counts:
        with store.open_writer("key") as writer:
            for _ in range(count):
                writer.write(b"x")
        store.open_writer("key").discard()  # what is kept once, for all, is there
        tracemalloc.start()
        store.open_writer("key").end()
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        store.delete("key")
    each = (most[1] - most[0]) // (counts[1] - counts[0])
    assert RECORD // 2 < each <= RECORD, f"{most} bytes of {counts} blocks: {each} each"

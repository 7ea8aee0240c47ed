"""What each case costs in calls and bytes: exact, on the reference driver and on a disk."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from layerstore import open_driver
from layerstore.checked import CheckedDriver
from layerstore.hashing.sha256 import exportable
from layerstore_benchmarks.case import Case, Policy
from layerstore_benchmarks.counting import Costs, costs
from layerstore_benchmarks.payload import Source

SIZE, WRITE = 1_000_000, 100_000


@pytest.fixture(params=["memory", "local"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CheckedDriver]:
    """Open a new store."""
    with closing(open_driver("memory:" if request.param == "memory" else f"local:{tmp_path}/store")) as opened:
        yield opened


def counted(driver: CheckedDriver, policy: Policy, resumes: int = 0) -> Costs:
    """Count what a policy costs."""
    return costs(driver, Source(), Case(policy, SIZE, WRITE, resumes))


def test_the_floor_makes_the_calls_of_an_upload(driver: CheckedDriver) -> None:
    """The floor and an upload make the same driver calls; they differ in what is hashed, and in that alone."""
    floor, hashed = counted(driver, "no hash"), counted(driver, "hash")
    assert floor["calls"] == hashed["calls"]
    assert (floor["bytes_written"], floor["bytes_noted"]) == (hashed["bytes_written"], hashed["bytes_noted"])
    assert (floor["bytes_hashed"], hashed["bytes_hashed"]) == (0, SIZE)


def test_an_upload_reads_nothing_back(driver: CheckedDriver) -> None:
    """An upload that is hashed on its way in writes every byte once, and reads none."""
    found = counted(driver, "hash")
    assert (found["bytes_written"], found["bytes_read"]) == (SIZE, 0)


def test_a_reread_reads_and_hashes_everything_once_more(driver: CheckedDriver) -> None:
    """A re-read costs one reading and one hashing of the layer."""
    found = counted(driver, "re-read")
    assert (found["bytes_read"], found["bytes_hashed"]) == (SIZE, 2 * SIZE)


@pytest.mark.parametrize("resumes", [1, 4])
def test_a_restored_state_spares_all_reading(driver: CheckedDriver, resumes: int) -> None:
    """However often an upload is resumed, nothing is read back, where hash states can be saved."""
    found = counted(driver, "resumed", resumes)
    assert found["bytes_read"] == (0 if exportable() else SIZE)
    assert found["calls"]["open_writer"] == resumes + 1


def test_a_cancelled_upload_makes_no_layer(driver: CheckedDriver) -> None:
    """A cancelled upload moves nothing."""
    found = counted(driver, "cancel")
    assert ("move" in found["calls"], found["bytes_written"]) == (False, SIZE)


@pytest.mark.parametrize("policy", ["no hash", "hash", "re-read", "cancel"])
def test_counting_leaves_nothing_behind(driver: CheckedDriver, policy: Policy) -> None:
    """What was stored to be counted is gone."""
    counted(driver, policy)
    assert list(driver.list("layerstore-bench")) == []


TAKING = """
from layerstore_benchmarks.counting import growth

with growth() as grown:
    taken = bytearray(b"x") * (50 << 20)
    del taken
print(grown())
with growth() as grown:
    pass
print(grown())
"""


def test_memory_that_was_taken_meanwhile_is_told() -> None:
    """The growth of the process is told where the system tells it, though what was taken is given back.

    In a process of its own: what other tests' threads give back meanwhile would hide it.
    """
    done = subprocess.run([sys.executable, "-c", TAKING], check=True, capture_output=True, text=True)
    meanwhile, afterwards = done.stdout.split()
    assert meanwhile == "None" or (45 << 20) < int(meanwhile) < (80 << 20)
    assert afterwards == "None" or int(afterwards) < (20 << 20), "what was taken before is told"

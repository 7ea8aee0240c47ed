"""Much at once: a layer of a GiB in little memory, and a driver that many threads share."""

import hashlib
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import layerstore
from layerstore_drivers.azure.blocks import FIRST
from layerstore_drivers.azure.emulator import Azurite

pytestmark = pytest.mark.xdist_group("azurite")

THREADS = 32
CONCURRENCY = 4
BOUND = FIRST * CONCURRENCY + (32 << 20)
"""Bytes by which a process may grow, whatever the size of a layer: the blocks under way, and 32 MiB."""

CHILD = """
import hashlib, os, random, sys
import layerstore
from pathlib import Path

def store(service, count):
    digest = hashlib.sha256()
    with service.upload("demo/large") as upload:
        for _ in range(count):
            upload.write(block)
            digest.update(block)
        return upload.finish(f"sha256:{digest.hexdigest()}")

def growth(work):
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew (proc(5))
    work()
    return resident("VmHWM") - before

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

block = random.Random(5).randbytes(1 << 20)
service = layerstore.open(sys.argv[1], verify="reread", create_container="true")
store(service, 1).close()  # what is made once is made
print(growth(lambda: store(service, 1024).close()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of memory is Linux's")
def test_a_layer_of_a_gib_takes_little_memory(azurite: Azurite) -> None:
    """Storing it, and reading it back to verify it, needs the blocks under way and 32 MiB at most."""
    command = [sys.executable, "-c", CHILD, azurite.url("large")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= BOUND


def test_threads_share_a_driver(azurite: Azurite) -> None:
    """32 threads, each with an upload of its own on one driver, store and fetch what they were given."""
    store = layerstore.open(azurite.url("many", block_size="20000"), create_container="true")

    def life(number: int) -> bool:
        data = random.Random(number).randbytes(100_000)
        with store.upload(f"demo/many-{number}") as upload:
            for start in range(0, len(data), 7_000):
                upload.write(data[start : start + 7_000])
            layer = upload.finish(f"sha256:{hashlib.sha256(data).hexdigest()}")
        with layer:
            return layer.read() == data

    with store, ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(life, range(2 * THREADS)))

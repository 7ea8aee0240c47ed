"""What can only be measured of a process of its own: how far its memory grows, and what an import takes."""

from __future__ import annotations

import os
import subprocess
import sys

HEAVY = ("azure", "fs", "click", "rich", "pytest")
"""What ``import layerstore`` must not bring along."""

UPLOAD = """
import sys
from layerstore_benchmarks.case import Case
from layerstore_benchmarks.counting import growth
from layerstore_benchmarks.payload import Source
from layerstore_benchmarks.steps import Bench, Laps, straight
import layerstore
bench = Bench(layerstore.open_driver(sys.argv[1]), Source())
policy = {"resume": "hash", "reread": "re-read"}[sys.argv[2]]
straight(bench, Case(policy, 1 << 20, 1 << 20), Laps())  # what is made once is made
size = int(sys.argv[3])
bench.source.digest(size)
with growth() as grown:
    straight(bench, Case(policy, size, 1 << 20), Laps())
bench.clean()
print(grown())
"""

IMPORT = f"""
import sys, time
begun = time.perf_counter()
import layerstore
taken = time.perf_counter() - begun
heavy = [name for name in {HEAVY!r} if name in sys.modules]
assert not heavy, heavy
print(taken * 1000)
"""


def memory_growth(url: str, verify: str, size: int) -> float:
    """Return by how many bytes a process grows at most while it stores a layer, and verifies it so."""
    return float(_said(UPLOAD, url, verify, str(size)))


def import_milliseconds(times: int = 15) -> list[float]:
    """Return how long the import takes in a new process, after one that is not counted."""
    return [float(_said(IMPORT)) for _ in range(times + 1)][1:]


def _said(program: str, *words: str) -> str:
    # With the bytecode that an installation makes, also where the environment says not to write any.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", program, *words], env=env, capture_output=True, text=True, check=True)
    return done.stdout

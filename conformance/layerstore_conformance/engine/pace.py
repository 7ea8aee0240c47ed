"""The pace of a store and its machine, measured: what is too long for a scenario is told in rounds of it."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from layerstore_conformance.kit.another_python import command, environment
from layerstore_conformance.kit.keys import ROOT

if TYPE_CHECKING:
    from layerstore_conformance.harness import Harness

MIB = 1 << 20

ROUND = MIB // 4
"""Bytes of each object in a round."""


class Pace(NamedTuple):
    """How long things take here and now, in seconds."""

    start: float
    """To start an interpreter that imports layerstore: what the machine is like."""
    round: float = 0.0
    """To put, write, read, list, move and delete: what the store is like."""

    def slower(self, other: Pace) -> Pace:
        """Return the longer of both times."""
        return Pace(max(self.start, other.start), max(self.round, other.round))


def go_round(harness: Harness, done: Callable[[], None]) -> None:
    """Do the work of a round, and call ``done`` after each part of it."""
    above, data = f"{ROOT}/pace-{uuid.uuid4().hex}", os.urandom(ROUND)
    with closing(harness.open()) as driver:
        done()
        try:
            driver.put(f"{above}/put", data)
            done()
            with driver.open_writer(f"{above}/written") as writer:
                writer.write(data)
                writer.flush()
            done()
            driver.move(f"{above}/written", f"{above}/moved")
            for key in driver.list(above):
                driver.get(key, MIB)
        finally:
            done()
            driver.delete(above)


def started() -> Pace:
    """Measure how fast the machine is now."""
    began = time.monotonic()
    subprocess.run(command("-c", "import layerstore"), env=environment(), stdin=subprocess.DEVNULL, check=False)
    return Pace(time.monotonic() - began)

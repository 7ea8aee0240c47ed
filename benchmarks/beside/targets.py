"""The targets of benchmarks/README.md, measured: each beside its floor, and the peers, in one interleaved run.

    python benchmarks/beside/targets.py FOLDER [--only NAME] [--rounds N] [--size MIB] [--json FILE]

``FOLDER`` is on the disk to be measured. A target is a ratio of times taken in one round, the median over the rounds.
``FILE`` keeps what it has of the groups that are not measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from findings import Group, keep, line
from large import finishing, large_in_memory, large_on_disk, rereading, two_at_once
from small import memory, size_and_number, small_layers, small_writes
from work import MIB, Machine

from layerstore_benchmarks.document import environment

GROUPS = {
    measure.__name__: measure
    for measure in (
        large_on_disk,
        large_in_memory,
        finishing,
        rereading,
        two_at_once,
        small_writes,
        small_layers,
        memory,
        size_and_number,
    )
}


def measured(name: str, machine: Machine) -> Group:
    """Measure a group, and say so line by line."""
    findings = []
    for finding in GROUPS[name](machine):
        findings.append(finding)
        sys.stdout.write(line(finding) + "\n")
        sys.stdout.flush()
    made: dict[str, Any] = {**environment(), "filesystem": machine.filesystem}
    size, code = machine.size // MIB, machine.recorder.code()
    return {"environment": made, "size_mib": size, "rounds": machine.rounds, "findings": findings, "code": code}


def main() -> None:
    """Measure, tell, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=list(GROUPS), action="append")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=1024, help="MiB of a large layer; 1024 unless given")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    for name in given.only or GROUPS:
        group = measured(name, Machine(given.folder, size=given.size * MIB, rounds=given.rounds))
        if given.json is not None:
            keep(given.json, name, group)


if __name__ == "__main__":
    main()

"""The targets of benchmarks/README.md, measured: each beside its floor, and the peers, in one interleaved run.

    python benchmarks/targets.py FOLDER [--only NAME] [--rounds N] [--size MIB] [--json FILE]

``FOLDER`` is on the disk to be measured. A target is a ratio of times taken in one round, the median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from large import finishing, large_in_memory, large_on_disk, rereading, two_at_once
from small import memory, size_and_number, small_layers, small_writes
from work import MIB, Finding, Machine

from layerstore_benchmarks.document import environment

TARGETS = (
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


def is_reached(finding: Finding) -> bool:
    """Tell whether a target was reached."""
    measured, bound = finding["measured"], finding["bound"]
    return measured >= bound if finding["atleast"] else measured <= bound


def told(finding: Finding) -> str:
    """Say what became of a target, in a line."""
    sign = ">=" if finding["atleast"] else "<="
    figures = f"{finding['measured']:8.2f} {sign} {finding['bound']:6.2f}"
    return f"{'reached' if is_reached(finding) else 'missed':8} {figures}  {finding['target']}"


def main() -> None:
    """Measure, tell, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=[each.__name__ for each in TARGETS], action="append")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=1024, help="MiB of a large layer; 1024 unless given")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    machine, findings = Machine(given.folder, size=given.size * MIB, rounds=given.rounds), []
    for measure in TARGETS:
        if given.only is None or measure.__name__ in given.only:
            for finding in measure(machine):
                findings.append(finding)
                sys.stdout.write(told(finding) + "\n")
                sys.stdout.flush()
    if given.json is not None:
        kept = {"environment": environment(), "size_mib": given.size, "rounds": given.rounds, "findings": findings}
        given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

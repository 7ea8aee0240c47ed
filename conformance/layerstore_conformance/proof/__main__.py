"""``python -m layerstore_conformance.proof``: draw defects of every family by seeds, and print the kill rates."""

from __future__ import annotations

import argparse
import random
import sys

from layerstore_conformance.engine.defect import defect_named
from layerstore_conformance.harness import Harness
from layerstore_conformance.proof.rates import Rate, families, finder, keep, kept_rates, rate, told


def main() -> int:
    """Prove, print, and return 1 if a defect survived."""
    parser = argparse.ArgumentParser(prog="python -m layerstore_conformance.proof", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the first seed; a random one")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="draws of each family; 20")
    parser.add_argument("--url", default="memory://proof", help="a store; memory://proof")
    parser.add_argument("--keep", action="store_true", help="keep the rates for docs/proof.md, beside those of others")
    parser.add_argument("names", nargs="*", help="families, or defects such as torn-put-above@17; all families")
    given = parser.parse_args()
    harness = Harness(given.url)
    if any("@" in name for name in given.names):
        return _again(given.names, harness)
    if given.keep and given.names and (given.seed, given.seeds) != (kept_rates().first, kept_rates().seeds):
        parser.error(f"the kept rates of the others are of --seed {kept_rates().first} --seeds {kept_rates().seeds}")
    _say(f"seeds {given.seed} to {given.seed + given.seeds - 1}")
    rates = []
    for family in families():
        if not given.names or family.id in given.names:
            rates.append(rate(family, range(given.seed, given.seed + given.seeds), lambda _: harness))
            _say(str(rates[-1]))
            _print_survivors(rates[-1])
    whole = Rate.of_all(rates)
    _say(f"in all: {told(whole.killed, whole.drawn)}")
    if given.keep:
        keep(rates, given.seed, given.seeds)
    return 1 if whole.survivors else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _print_survivors(found: Rate) -> None:
    for each in found.survivors:
        _say(f"  survivor {each}\n    again: python -m layerstore_conformance.proof {each.partition(':')[0]}")


def _again(names: list[str], harness: Harness) -> int:
    survived = 0
    for name in names:
        defect = defect_named(name)
        found = finder(defect, lambda _: harness)
        survived += not found
        _say(f"{name}: {defect.title}: {f'found by {found}' if found else 'survives'}")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

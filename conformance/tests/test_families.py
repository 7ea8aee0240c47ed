"""Families of defects: drawn by a seed, found by the scenarios that claim them, and told with an interval."""

from __future__ import annotations

import json
import os
import random
import sys
import zlib
from dataclasses import asdict
from pathlib import Path

import pytest

from layerstore_conformance.engine.defect import Defect, defect_named, defects, planted_now
from layerstore_conformance.harness import Harness
from layerstore_conformance.proof import rates
from layerstore_conformance.proof.rates import Rate, families, kept_rates, rate, wilson

DRAWS = 1
"""Defects of each family that a run of these tests draws: CI has no time for more."""


@pytest.fixture(scope="session")
def seed() -> int:
    """Draw a seed for this run, the same in all its processes; LAYERSTORE_PROOF_SEED repeats a run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(random.random()))
    return int(os.environ.get("LAYERSTORE_PROOF_SEED", zlib.crc32(run.encode()) % 10**6))


@pytest.mark.once
@pytest.mark.parametrize("family", families(), ids=lambda each: each.id)
def test_what_is_drawn_of_a_family_is_found(family: Defect, seed: int) -> None:
    """Defects drawn anew at every run are found; the message has the seed and the names of those that are not."""
    sys.stdout.write(f"LAYERSTORE_PROOF_SEED={seed}\n")
    found = rate(family, range(seed, seed + DRAWS), lambda _: Harness("memory://families"))
    assert found.survivors == [], f"LAYERSTORE_PROOF_SEED={seed}"


def test_a_family_is_drawn_by_a_seed() -> None:
    """The same seed draws the same defect, whose name plants it again, and whose title has its parameters."""
    family = defects()["torn-put-above"]
    drawn = family.drawn(17)
    assert drawn.id == "torn-put-above@17"
    assert drawn == defect_named("torn-put-above@17") == family.drawn(17)
    assert f"above {drawn.at['above']}" in drawn.title
    assert len({family.drawn(number).at["above"] for number in range(20)}) > 15


def test_a_drawn_defect_is_planted_by_its_name() -> None:
    """While it is planted another process learns its name, with the seed."""
    with defect_named("torn-put-above@17").plant():
        assert planted_now() == ("torn-put-above@17",)
    assert planted_now() == ()


@pytest.mark.parametrize("name", ["no-such-defect", "torn-put-above@x", "no-such-defect@3"])
def test_a_name_of_no_defect_is_refused(name: str) -> None:
    """A name that plants nothing must not prove anything."""
    with pytest.raises(LookupError, match="no planted defect"):
        defect_named(name)


def test_a_single_defect_is_drawn_as_itself() -> None:
    """It has no parameters."""
    assert defects()["flush-does-nothing"].drawn(5) is defects()["flush-does-nothing"]


def test_a_survivor_is_told_by_its_name() -> None:
    """A family that no scenario claims survives, each of its defects with the name that plants it."""
    unclaimed = Defect("unclaimed", "Nobody looks.", ("K1",), defects()["flush-does-nothing"].planter, {"n": (1, 2)})
    found = rate(unclaimed, range(20), lambda _: Harness("memory://families"))
    assert (found.killed, found.drawn) == (0, 2)
    assert all(each.startswith("unclaimed@") for each in found.survivors)
    assert str(Rate.of_all([found, Rate("found", 6)])) == "all: 6 of 8, 75% (40.9% to 92.9%)"


def test_the_interval_is_wilsons() -> None:
    """Of 20 found of 20 the rate is at least 83.9 %; of none drawn nothing is known."""
    assert [round(each, 3) for each in wilson(20, 20)] == [0.839, 1.0]
    assert [round(each, 3) for each in wilson(58, 106)] == [0.452, 0.639]
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_rates_that_are_kept_are_of_every_family() -> None:
    """docs/proof.md shows no family without its rate, and each rate is of twenty seeds."""
    kept = kept_rates()
    assert sorted(kept.rates) == sorted(each.id for each in families())
    assert kept.seeds == 20


def test_rates_that_are_kept_stay_beside_those_of_other_families(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To keep the rate of one family anew leaves those of all others."""
    before = kept_rates()
    monkeypatch.setattr(rates, "KEPT", tmp_path / "rates.json")
    rates.KEPT.write_text(json.dumps(asdict(before)), "utf-8")
    rates.keep([Rate("version-wraps", 7)], before.first, before.seeds)
    assert {**before.rates, "version-wraps": [7, 7]} == kept_rates().rates

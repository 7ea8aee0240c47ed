"""Sweeps: the places that are drawn on axes, a failure at one of them, and doing it again there."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, product
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.engine.axes import FEW, Axis, pairwise, places
from layerstore_conformance.engine.context import Context
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import scenarios
from layerstore_conformance.engine.sweep import again
from layerstore_conformance.harness import Harness

if TYPE_CHECKING:
    from layerstore_conformance.engine.scenario import Check, Scenario

AXES = (Axis("size", {"small": 1, "large": 9, "none": 0}), Axis("kind", {"put": "p", "written": "w"}))
THIRD = Axis("end", {"flushed": True, "discarded": False})


def sweeping(check: Check) -> Scenario:
    """Make a scenario of the two axes of some other one."""
    return replace(scenarios()[0], id="sweeps.made-here", needs=(), without=(), axes=AXES, check=check)


def test_any_two_points_of_two_axes_meet_in_the_default_profile() -> None:
    """Every pair of points is in a place, in fewer places than there are."""
    axes = [list(map(str, range(count))) for count in (5, 4, 3, 6)]
    found = pairwise(axes, random.Random(1))
    for one, two in combinations(range(4), 2):
        assert {(place[one], place[two]) for place in found} == set(product(axes[one], axes[two]))
    assert len(found) < 5 * 4 * 3 * 6 / 4


def test_the_full_profile_is_everywhere_and_the_quick_one_in_a_few_places() -> None:
    """Full has the whole product, quick a few places of it, the same for the same seed."""
    axes = (*AXES, THIRD)
    assert len(set(places(axes, "full", 0))) == 12
    assert len(places(axes, "quick", 0)) == FEW
    assert places(axes, "quick", 0) == places(axes, "quick", 0)
    assert {tuple(places(axes, "quick", seed)) for seed in range(9)} != {tuple(places(axes, "quick", 0))}


def test_every_place_has_a_store_of_its_own() -> None:
    """What one place stores, no other sees, and nothing of it is left."""
    seen = []

    def check(ctx: Context, size: int, kind: str) -> None:
        assert ctx.stored() == []
        ctx.driver.put("key", bytes(size))
        seen.append((size, kind))

    result = run(sweeping(check), Harness("memory://sweeps"))
    assert result.outcome == "passed", result.reason
    assert sorted(seen) == sorted(product((1, 9, 0), "pw"))
    assert ("places on axes", 6) in result.counts


def test_a_failure_names_its_place() -> None:
    """The message has the point on each axis, and a call that does it again; so has that of an error of the driver."""

    def check(ctx: Context, size: int, kind: str) -> None:
        assert size < 9 or kind == "p", "too large"

    result = run(sweeping(check), Harness("memory://sweeps"))
    assert result.outcome == "failed"
    assert result.reason.splitlines()[0] == "too large"
    assert "at size 'large', kind 'written'" in result.reason
    assert "again(ctx, 'sweeps.made-here', size='large', kind='written'), seed 0" in result.reason


def test_a_place_is_tried_again_by_its_points() -> None:
    """The call of a failure's message does the scenario at that place alone, and cleans up."""
    harness = Harness("memory://sweeps")
    ctx = Context(harness)
    again(ctx, "sizes.an-object-of-any-size-is-whole", size="4 KiB", way="put")
    assert ctx.counts["places on axes"] == 1
    with pytest.raises(KeyError):
        again(Context(harness), "sizes.an-object-of-any-size-is-whole", size="no such size", way="put")

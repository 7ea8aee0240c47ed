"""Axes: what varies in real backends and in their use, with named points. A scenario sweeps over the axes it takes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from layerstore_conformance.engine.profile import Profile

FEW: Final = 3
"""Places that the quick profile draws."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One thing that varies."""

    name: str
    """The parameter of the scenario's function that takes a point's value."""
    points: Mapping[str, Any]
    """Every point's value, by its name."""


Place = tuple[str, ...]
"""The name of one point on each axis, in the order of the axes."""


def places(axes: Sequence[Axis], profile: Profile, seed: object) -> list[Place]:
    """Draw the places that a profile tries: a few, places that have every pair of points in them, or all there are."""
    everywhere = list(product(*(axis.points for axis in axes)))
    choose = random.Random(f"{seed}")
    if profile == "full":
        return everywhere
    if profile == "quick":
        return choose.sample(everywhere, min(FEW, len(everywhere)))
    return pairwise([list(axis.points) for axis in axes], choose)


def pairwise(axes: Sequence[Sequence[str]], choose: random.Random) -> list[Place]:
    """Return places such that any two points of two axes meet in one of them; of one axis, every point."""
    if len(axes) < 3:
        return list(product(*axes))
    open_pairs = {
        ((first, one), (second, two))
        for first, second in combinations(range(len(axes)), 2)
        for one, two in product(axes[first], axes[second])
    }
    found: list[Place] = []
    while open_pairs:
        place = _filled(axes, min(open_pairs), open_pairs, choose)
        open_pairs -= set(_pairs(place))
        found.append(place)
    return found


Pair = tuple[tuple[int, str], tuple[int, str]]


def _filled(axes: Sequence[Sequence[str]], begun: Pair, wanted: set[Pair], choose: random.Random) -> Place:
    """Return a place with a pair of points in it, and with as many other pairs that are wanted as come by chance."""
    best: Place = ()
    for _ in range(8):
        place = [choose.choice(axis) for axis in axes]
        for axis, point in begun:
            place[axis] = point
        best = max(best, tuple(place), key=lambda each: len(wanted & set(_pairs(each))) if each else -1)
    return best


def _pairs(place: Place) -> Iterator[Pair]:
    yield from combinations(enumerate(place), 2)

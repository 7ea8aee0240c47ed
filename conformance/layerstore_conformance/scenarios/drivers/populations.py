"""Populations: a tree of small objects that several handles, threads and processes change in turns, as a model says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.model.population import Population, hands
from layerstore_conformance.processes.elsewhere import Elsewhere

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "model"

TREES = {"quick": 2, "default": 6, "full": 300}
STEPS = 120


@scenario(
    *("L1", "L2", "L4", "K3", "D1", "M1", "S1", "S2", "F1", "F2", "F3", "T1", "T2", "R4"),
    kills=("listing-skips-what-was-replaced",),
    rows=(50, 68, 85),
)
def a_tree_in_several_hands_agrees_with_a_model(ctx: Context) -> None:
    """Handles in threads of their own change a tree in turns; each sees it as a model says, and lists it meanwhile.

    What one handle or one thread remembers is wrong as soon as another has changed it.
    """
    for number in range(ctx.size(TREES[ctx.profile])):
        with ctx.apart(f"tree-{number}"), hands(ctx) as local:
            population = Population(ctx, ctx.seed * 100_000 + number, local)
            for _ in range(STEPS):
                population.step()
            population.end()


@scenario(
    *("C3", "L1", "L4", "D1", "M1", "S1", "S2", "F1", "F2", "F3"),
    kills=("versions-counted-by-process",),
    rows=(5, 131),
    needs=("shared", "url"),
    profile="default",
)
def a_tree_in_several_processes_agrees_with_a_model(ctx: Context) -> None:
    """Two other processes and this one change a tree in turns, and each sees it as a model says."""
    with Elsewhere(ctx) as one, Elsewhere(ctx) as two, hands(ctx, 2) as local:
        population = Population(ctx, ctx.seed, local, [partial(there.run) for there in (one, two)])
        for _ in range(ctx.size(STEPS * {"quick": 1, "default": 3, "full": 25}[ctx.profile])):
            population.step()
        population.end()

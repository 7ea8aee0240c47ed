"""Sequences: a few objects are put, written, flushed, moved, deleted and read in any order, as a model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.model.objects import Objects

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "model"

SEQUENCES = {"quick": 3, "default": 12, "full": 400}
STEPS = 40


@scenario(
    *("W1", "W4", "W5", "W6", "W7", "F1", "F2", "F3", "P1", "S1", "S2", "M1", "M4", "D1", "D3", "R4"),
    kills=("gap-closed", "version-is-the-size", "fencing-absent", "delete-does-not-fence"),
    rows=(50, 68),
    profile="default",
)
def objects_in_any_order_agree_with_a_model(ctx: Context) -> None:
    """Steps in any order, of any size, leave every object and every version as a model says; all others stay.

    A step that is right alone may be wrong after another.
    """
    for number in range(ctx.size(SEQUENCES[ctx.profile])):
        with ctx.apart(f"sequence-{number}"):
            objects = Objects(ctx, ctx.seed * 100_000 + number)
            for _ in range(STEPS):
                objects.step()
            objects.end()
        ctx.count("steps of sequences", STEPS)

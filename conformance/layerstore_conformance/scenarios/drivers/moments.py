"""Moments: one call comes at each moment of another, in another thread; the end is that of one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.steps.pairs import PAIRS, Make, met

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

MOMENTS: Final = {"quick": 4, "default": 24, "full": 200}
"""Moments of each call that are tried: of a memory driver's call there are dozens, of others hundreds."""

SIZES = Axis("size", {"small": 0, "3 MiB": 3 << 20})


@scenario(
    *("F4", "F2", "F3", "M3", "M4", "T1", "D3"),
    kills=("fencing-checked-too-early", "version-compared-too-early", "flush-overtakes-a-change"),
    rows=(119, 120, 121),
    axes=(Axis("pair", PAIRS), SIZES),
)
def two_calls_that_meet_at_any_moment_are_one_after_the_other(ctx: Context, pair: Make, size: int) -> None:
    """At whatever moment of a call another one comes, on the same key, what is there is as if one had come first.

    A check that is made before the lock is taken passes, unless the other call comes in between.
    """
    pad, other = bulk("pad", size, ctx.seed), ctx.open()
    events = met(ctx, pair, other, pad, 1 << 60)
    wanted = min(events, MOMENTS[ctx.profile] // (2 if size else 1))
    for moment in sorted(ctx.random.sample(range(events), wanted)):
        met(ctx, pair, other, pad, moment)

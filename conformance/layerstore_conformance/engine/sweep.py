"""Sweep: do a scenario at every place that is drawn on its axes, each time in a store of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_conformance.engine.axes import places

if TYPE_CHECKING:
    from layerstore_conformance.engine.axes import Place
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.scenario import Scenario


def perform(scenario: Scenario, ctx: Context) -> None:
    """Do a scenario: once, or at each place that the profile draws on its axes."""
    if not scenario.axes:
        scenario.check(ctx)
        return
    drawn = places(scenario.axes, ctx.profile, f"{scenario.id} {ctx.seed}")
    for place in ctx.random.sample(drawn, min(len(drawn), ctx.size(len(drawn)))):
        _at(scenario, ctx, place)


def again(ctx: Context, id_: str, **points: str) -> None:
    """Do a scenario at one place; the message of a failure has this call."""
    from layerstore_conformance.engine.scenario import scenarios

    (scenario,) = (each for each in scenarios() if each.id == id_)
    try:
        _at(scenario, ctx, tuple(points[axis.name] for axis in scenario.axes))
    finally:
        ctx.clean()


def _at(scenario: Scenario, ctx: Context, place: Place) -> None:
    named = {axis.name: point for axis, point in zip(scenario.axes, place, strict=True)}
    values = {axis.name: axis.points[named[axis.name]] for axis in scenario.axes}
    ctx.count("places on axes")
    try:
        with ctx.apart(f"place-{ctx.counts['places on axes']}"):
            scenario.check(ctx, **values)
    except Exception as error:
        error.add_note(_where(scenario, ctx, named))
        raise


def _where(scenario: Scenario, ctx: Context, named: dict[str, str]) -> str:
    points = ", ".join(f"{axis} {point!r}" for axis, point in named.items())
    call = ", ".join([f"{scenario.id!r}", *(f"{axis}={point!r}" for axis, point in named.items())])
    return f"at {points}\nagain, in Python: layerstore_conformance.engine.sweep.again(ctx, {call}), seed {ctx.seed}"

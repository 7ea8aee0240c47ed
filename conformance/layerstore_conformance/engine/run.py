"""Run a scenario on a driver."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from layerstore.unwritten import UnwrittenError, in_order
from layerstore_conformance.engine.context import Context
from layerstore_conformance.engine.liveness import EVERYTHING, Activity, HungError, pace, watched
from layerstore_conformance.engine.sweep import perform
from layerstore_conformance.harness import OFFERS
from layerstore_conformance.kit.unwritten import unwritten
from layerstore_conformance.powerloss import strace

if TYPE_CHECKING:
    from types import TracebackType

    from layerstore_conformance.engine.defect import Wrap
    from layerstore_conformance.engine.profile import Profile
    from layerstore_conformance.engine.scenario import Scenario
    from layerstore_conformance.harness import Harness

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one run of a scenario."""

    scenario: Scenario
    outcome: Outcome
    seconds: float
    reason: str = ""
    """The cause of the skip, or the message of the failed check."""
    line: str = ""
    """File and line of the scenario that failed."""
    trace: tuple[str, ...] = ()
    """The last driver calls before the failure, oldest first."""
    notes: tuple[str, ...] = ()
    """The steps that the scenario noted."""
    counts: tuple[tuple[str, int], ...] = ()
    """The counts of the scenario: cut points, say."""
    error: BaseException | None = None
    unwritten: tuple[str, ...] = ()
    """The unwritten parts of the driver that it needs."""
    calls: int = 0
    """The driver calls of this process."""
    opens: int = 0
    """The drivers that this process opened."""
    stacks: str = ""
    """Where all threads stood, if it was given up."""
    stuck: bool = False
    """It was given up, and so was cleaning up after it."""


def unmet(scenario: Scenario, declared: frozenset[str]) -> str:
    """Return why a scenario does not apply to a driver and harness; empty if it does."""
    for name in scenario.needs:
        if name == "holes" and name not in declared:
            return "the driver is charged for holes: it would have to store GiB of zeros"
        if name == "small_disk" and name not in declared:
            return "the harness has no traced" if "traced" not in declared else "no process may mount a disk here"
        if name == "another_user" and name not in declared:
            return "the harness has no traced" if "traced" not in declared else "only root can become another user"
        if name == "traced" and name not in declared and not strace.works():
            return "there is no strace, or it may not trace"
        if name not in declared:
            return f"the harness has no {name}" if name in OFFERS else f"{name} is not declared"
    for name in scenario.without:
        if name in declared:
            return f"{name} is declared"
    return ""


def run(
    scenario: Scenario, harness: Harness, *, seed: int = 0, profile: Profile = "default", wrap: Wrap | None = None
) -> Result:
    """Run a scenario; ``wrap`` is put in front of every handle, for the proof. One that hangs is given up."""
    began, known = time.perf_counter(), pace(harness)
    activity = Activity(EVERYTHING if profile == "full" else 1)
    made: list[Context] = []

    def work() -> Result:
        made.append(Context(harness, seed=seed, profile=profile, wrap=wrap, activity=activity))
        return _run(scenario, harness, made[0], began)

    try:
        return watched(work, activity, known, harness)
    except HungError as error:
        return _given_up(scenario, error, began, made, harness)


def _given_up(scenario: Scenario, error: HungError, began: float, made: list[Context], harness: Harness) -> Result:
    """Clean up behind a scenario that hangs, if the store still can, and return its result."""
    stuck = not made
    with suppress(Exception):
        try:
            for each in made:
                watched(each.clean, Activity(), pace(harness), harness)
        except HungError:
            stuck = True
    context = made[0] if made else None
    return Result(
        scenario,
        "failed",
        time.perf_counter() - began,
        error.said,
        trace=() if context is None else tuple(context.trace),
        notes=() if context is None else tuple(context.notes),
        error=error,
        stacks=error.stacks,
        stuck=stuck,
    )


def _run(scenario: Scenario, harness: Harness, context: Context, began: float) -> Result:
    reason = unmet(scenario, harness.declared(context.capabilities))
    if reason:
        with suppress(Exception):  # it has stored nothing; scenarios that are run find what is wrong with the driver
            context.clean()
        return Result(scenario, "skipped", time.perf_counter() - began, reason)
    try:
        try:
            with _own_garbage():
                perform(scenario, context)
                context.others_may_call()
        finally:
            left = context.clean()
        if context.unwritten:
            raise UnwrittenError(context.unwritten[0])
        assert not left, f"left below the scenario's prefix: {left[:5]}"
    except Exception as error:  # noqa: BLE001  (any error is the result of the scenario)
        wanting = unwritten(error)
        wanting = in_order([*wanting, *context.unwritten]) if wanting else []  # another failure has its own story
        return Result(
            scenario,
            "failed",
            time.perf_counter() - began,
            f"not implemented: {', '.join(wanting)}" if wanting else _said(error),
            _line(error.__traceback__, scenario),
            tuple(context.trace),
            tuple(context.notes),
            tuple(context.counts.items()),
            error,
            tuple(wanting),
            context.calls,
            context.opens,
        )
    return Result(
        scenario,
        "passed",
        time.perf_counter() - began,
        counts=tuple(context.counts.items()),
        calls=context.calls,
        opens=context.opens,
    )


@contextmanager
def _own_garbage() -> Iterator[None]:
    """Let a collection look only at objects made in the block: in a process with many tests each would take long."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _said(error: Exception) -> str:
    text = str(error) or "the check did not hold"
    said = text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}"
    return "\n".join([said, *getattr(error, "__notes__", ())])


def _line(trace: TracebackType | None, scenario: Scenario) -> str:
    """Return the innermost line of the scenario's own file in a traceback."""
    file = scenario.check.__code__.co_filename
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == file]
    return f"{file.rpartition('/')[2]}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""

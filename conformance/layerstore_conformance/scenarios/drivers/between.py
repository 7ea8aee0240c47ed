"""Between requests: another handle acts in the middle of a call, and one order of the two explains what came of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from layerstore import BackendUnavailableError, DriverError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.steps.encounters import RIVALS, WORKS, Stage, Work
from layerstore_conformance.steps.orders import Outcome, expect_an_order, outcome, seen

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "concurrency"

MOMENTS: dict[Profile, int] = {"quick": 24, "default": 72, "full": 1 << 20}
"""The most moments that a scenario tries; of more, it draws so many."""

RIVAL_REFUSED = BackendUnavailableError.__name__
"""The rival could not act, say because its own thread holds a lock in the middle of the call."""


class Encounter(NamedTuple):
    """A call, a rival, and the moment at which it acts."""

    work: str
    rival: str
    at: int

    def __str__(self) -> str:
        return f"{self.rival} by another handle, after request {self.at + 1} of {self.work},"


class Moment:
    """Lets a rival act once, at one of the moments of a call. Threads may come by here."""

    def __init__(self, index: int, rival: Callable[[], object]) -> None:
        self.passed = 0
        """Moments so far."""
        self.outcome: Outcome | None = None
        """What the rival's act came to; None if it did not act."""
        self._index, self._rival = index, rival
        self._lock = threading.Lock()
        self._acting = False

    def __call__(self) -> None:
        """Pass a moment. Those of the rival's own requests do not count."""
        with self._lock:
            if self._acting:
                return
            self.passed += 1
            if self.passed != self._index + 1:
                return
            self._acting = True
        try:
            self.outcome = outcome(self._rival)
        finally:
            self._acting = False


def _undisturbed(ctx: Context, work: Work, below: str, size: int) -> int:
    """Return how many moments a call has."""
    stage, moment = Stage(ctx.driver, ctx.driver, below, size), Moment(-1, lambda: None)
    stage.prepare(work)
    with ctx.between_requests(moment):
        work.act(stage)
    stage.discard()
    return moment.passed


def _disturb_all(ctx: Context, size: int) -> None:
    counts = {name: _undisturbed(ctx, work, f"w{number}", size) for number, (name, work) in enumerate(WORKS.items())}
    assert any(counts.values()), "the harness's between_requests called nothing during any call of the driver"
    ctx.step(f"moments of each call: {counts}")
    moments = [Encounter(name, rival, at) for name in WORKS for rival in RIVALS for at in range(counts[name])]
    budget = ctx.size(MOMENTS[ctx.profile])
    if len(moments) > budget:
        moments = sorted(ctx.random.sample(moments, budget))
    theirs = ctx.open()
    for number, encounter in enumerate(moments):
        _disturb(ctx, encounter, Stage(ctx.driver, theirs, f"m{number}", size))


def _disturb(ctx: Context, encounter: Encounter, stage: Stage) -> None:
    work, rival = WORKS[encounter.work], RIVALS[encounter.rival]
    stage.prepare(work, rival)
    moment = Moment(encounter.at, lambda: rival.act(stage))
    with ctx.between_requests(moment):
        ours = outcome(lambda: work.act(stage))
    if moment.outcome is None or moment.outcome.error == RIVAL_REFUSED:  # no such moment, or nobody can act then
        stage.discard()
        return
    ctx.count("moments")
    expect_an_order(seen(stage, ours, moment.outcome), work, rival, stage.size, f"{encounter}")


@scenario(
    "F4",
    "F2",
    "M4",
    "M1",
    "P1",
    kills=(
        "check-then-publish",
        "version-asked-after-the-flush",
        "move-checks-then-moves",
        "move-copies-then-deletes",
        "put-deletes-then-creates",
        "open-reads-then-fences",
    ),
    rows=(119, 120),
    needs=("between_requests",),
)
def a_call_disturbed_between_two_requests_comes_before_or_after(ctx: Context) -> None:
    """If another handle acts between two requests of a call, the result is that of one after the other.

    A driver that asks whether it may, and then does it without a condition, loses what another node stored in between.
    """
    _disturb_all(ctx, 600)


@scenario(
    "F4",
    "F2",
    "M4",
    "W6",
    kills=("check-then-publish", "move-copies-then-deletes"),
    rows=(119, 120),
    needs=("between_requests",),
    profile="default",
)
def a_call_on_a_large_object_disturbed_between_requests_comes_before_or_after(ctx: Context) -> None:
    """The same holds for objects of several blocks, which take more requests."""
    _disturb_all(ctx, ctx.size(3 << 19) + 7)


@scenario("T4", "R1", "S1", kills=("handles-leak",), rows=(163,), needs=("between_requests",))
def a_look_that_is_disturbed_leaves_nothing_open(ctx: Context) -> None:
    """If the object changes in the middle of a look at it, before any request, no descriptor stays open."""
    rival = ctx.open()
    ctx.driver.put("key", b"first")

    def round_of(moment: int) -> None:
        passed = itertools.count()

        def act() -> None:
            if threading.current_thread() is ours and next(passed) == moment:
                with suppress(DriverError), rival.open_writer("key") as writer:
                    writer.write(b"more")

        with ctx.between_requests(act), suppress(DriverError):
            ctx.driver.stat("key")
            ctx.driver.open_reader("key").close()

    ours = threading.current_thread()
    round_of(0)
    before = descriptors()
    for moment in range(48):
        round_of(moment % 16)
    more = descriptors() - before
    assert more < 4, f"{more} more descriptors are open after 48 looks that were disturbed"

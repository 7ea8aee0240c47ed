"""Between requests: another handle acts in the middle of a call, and one order of the two explains what came of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from layerstore import BackendUnavailableError, DriverError, Writer, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_conformance.kit.keys import keys_below

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.engine.profile import Profile

GROUP = "concurrency"

MOMENTS: dict[Profile, int] = {"quick": 24, "default": 72, "full": 1 << 20}
"""The most moments that a scenario tries; of more, it draws so many."""

RIVAL_REFUSED = BackendUnavailableError.__name__
"""The rival could not act, say because its own thread holds a lock in the middle of the call."""


class Stage:
    """Some keys of one store, and two handles on it: ours, whose call is disturbed, and theirs."""

    def __init__(self, ours: CheckedDriver, theirs: CheckedDriver, below: str, size: int) -> None:
        """Store the object that both use."""
        self.ours, self.theirs, self.size = ours, theirs, size
        self.below, self.key = below, f"{below}/key"
        self.our_writer: Writer | None = None
        self.their_writer: Writer | None = None
        ours.put(self.key, self.data("old"))
        self.version = ours.stat(self.key).version

    def data(self, label: str) -> bytes:
        """Return bytes of the stage's size that are told apart by their label."""
        text = label.encode()
        return (text * (self.size // len(text) + 1))[: self.size]

    def contents(self) -> dict[str, str]:
        """Return a short description of every object."""
        keys = [key.removeprefix(f"{self.below}/") for key in keys_below(self.theirs, self.below)]
        return {key: self._described(key) for key in keys}

    def _described(self, key: str) -> str:
        data = self.theirs.get(f"{self.below}/{key}", 1 << 40)
        runs = [bytes(data[at : at + self.size]) for at in range(0, len(data), self.size)] if self.size else []
        return f"{len(data)} bytes: " + ", ".join(dict.fromkeys(run[:12].decode("ascii", "replace") for run in runs))

    def discard(self) -> None:
        """Discard what is open."""
        for writer in (self.our_writer, self.their_writer):
            if writer is not None:
                writer.discard()


Step = Callable[[Stage], object]


class Work(NamedTuple):
    """A call, with the steps before it."""

    prepare: Step
    act: Step


def _nothing(stage: Stage) -> None:
    """Prepare nothing."""


def _open(stage: Stage) -> None:
    stage.our_writer = stage.ours.open_writer(stage.key)
    stage.our_writer.write(stage.data("our first"))


def _open_new(stage: Stage) -> None:
    stage.ours.delete(stage.key)
    _open(stage)


def _flush_once(stage: Stage) -> None:
    _open(stage)
    _flush(stage)
    assert stage.our_writer is not None
    stage.our_writer.write(stage.data("our second"))


def _flush(stage: Stage) -> None:
    assert stage.our_writer is not None
    stage.our_writer.flush()


def _reopen(stage: Stage) -> int:
    stage.our_writer = stage.ours.open_writer(stage.key)
    return stage.our_writer.size


def _put_beside(stage: Stage) -> None:
    stage.ours.put(f"{stage.below}/source", stage.data("our source"))


def _move_version(stage: Stage) -> None:
    stage.ours.move(stage.key, f"{stage.below}/away", version=stage.version)


WORKS: dict[str, Work] = {
    "a put": Work(_nothing, lambda stage: stage.ours.put(stage.key, stage.data("our put"))),
    "a flush": Work(_open, _flush),
    "a flush of a new object": Work(_open_new, _flush),
    "a second flush": Work(_flush_once, _flush),
    "an opening": Work(_nothing, _reopen),
    "a move over it": Work(_put_beside, lambda stage: stage.ours.move(f"{stage.below}/source", stage.key)),
    "a move away": Work(_nothing, lambda stage: stage.ours.move(stage.key, f"{stage.below}/away")),
    "a move of a version": Work(_nothing, _move_version),
    "a delete": Work(_nothing, lambda stage: stage.ours.delete(stage.key)),
}
"""The calls that are disturbed."""


def _their_flush(stage: Stage) -> None:
    stage.their_writer = stage.theirs.open_writer(stage.key)
    stage.their_writer.seek(0)
    stage.their_writer.write(stage.data("their flush"))
    stage.their_writer.flush()


def _their_move(stage: Stage) -> None:
    stage.theirs.put(f"{stage.below}/theirs", stage.data("their source"))
    stage.theirs.move(f"{stage.below}/theirs", stage.key)


def _their_opening(stage: Stage) -> int:
    stage.their_writer = stage.theirs.open_writer(stage.key)
    return stage.their_writer.size


def _their_reading(stage: Stage) -> bytes:
    with stage.theirs.open_reader(stage.key) as reader:
        return reader.readall()[:12]


RIVALS: dict[str, Step] = {
    "a put": lambda stage: stage.theirs.put(stage.key, stage.data("their put")),
    "a flush": _their_flush,
    "an opening": _their_opening,
    "a move over it": _their_move,
    "a move away": lambda stage: stage.theirs.move(stage.key, f"{stage.below}/gone"),
    "a delete": lambda stage: stage.theirs.delete(stage.key),
    "a reading": _their_reading,
}
"""What another handle does in the meantime."""


class Encounter(NamedTuple):
    """A call, a rival, and the moment at which it acts."""

    work: str
    rival: str
    at: int

    def __str__(self) -> str:
        return f"{self.rival} by another handle, after request {self.at + 1} of {self.work},"


@dataclass(frozen=True, slots=True)
class Found:
    """All that can be seen of a call and its rival."""

    work: str
    rival: str
    then: tuple[str, str]
    """What the next flush of our writer came to, and of theirs."""
    left: tuple[tuple[str, str], ...]
    """The objects."""

    def __str__(self) -> str:
        after = f"our next flush: {self.then[0]}, theirs: {self.then[1]}"
        return f"the call: {self.work}; the other handle: {self.rival}; {after}; {dict(self.left)}"


class Moment:
    """Lets a rival act once, at one of the moments of a call. Threads may come by here."""

    def __init__(self, index: int, rival: Callable[[], object]) -> None:
        self.passed = 0
        """Moments so far."""
        self.outcome: str | None = None
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
            self.outcome = _outcome(self._rival)
        finally:
            self._acting = False


def _outcome(act: Callable[[], object]) -> str:
    try:
        return f"done, {result!r}" if (result := act()) is not None else "done"
    except DriverError as error:
        return type(error).__name__


def _next_flush(writer: Writer | None, data: bytes) -> str:
    def act() -> None:
        assert writer is not None
        writer.write(data)
        writer.flush()

    return "none is open" if writer is None else _outcome(act)


def _seen(stage: Stage, work: str, rival: str) -> Found:
    then = _next_flush(stage.our_writer, b"our next"), _next_flush(stage.their_writer, b"their next")
    left = tuple(sorted(stage.contents().items()))
    stage.discard()
    return Found(work, rival, then, left)


def _in_order(work: Work, rival: Step, size: int, *, first: str) -> Found:
    """Return what the reference driver makes of the two, one after the other."""
    with closing(CheckedDriver(open_driver("memory:"))) as driver:
        stage = Stage(driver, driver, "d", size)
        work.prepare(stage)
        if first == "rival":
            theirs, ours = _outcome(lambda: rival(stage)), _outcome(lambda: work.act(stage))
        else:
            ours, theirs = _outcome(lambda: work.act(stage)), _outcome(lambda: rival(stage))
        return _seen(stage, ours, theirs)


def _undisturbed(ctx: Context, work: Work, below: str, size: int) -> int:
    """Return how many moments a call has."""
    stage, moment = Stage(ctx.driver, ctx.driver, below, size), Moment(-1, lambda: None)
    work.prepare(stage)
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
    work.prepare(stage)
    moment = Moment(encounter.at, lambda: rival(stage))
    with ctx.between_requests(moment):
        ours = _outcome(lambda: work.act(stage))
    if moment.outcome in {None, RIVAL_REFUSED}:  # there is no such moment this time, or nobody can act then
        stage.discard()
        return
    ctx.count("moments")
    found = _seen(stage, ours, moment.outcome or "")
    orders = {first: _in_order(work, rival, stage.size, first=first) for first in ("call", "rival")}
    assert found in orders.values(), (
        f"{encounter} left what no order of the two explains:\n"
        f"found       {found}\ncall first  {orders['call']}\nrival first {orders['rival']}"
    )


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

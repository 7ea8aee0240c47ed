"""Orders: what two calls that met have found and left is compared with what comes of one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from layerstore import DriverError, Writer, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.moments import IsMoment, Meeting
from layerstore_conformance.steps.encounters import Stage, Work

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context


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


class Outcome(NamedTuple):
    """What a step came to: the name of an error, or what it returned."""

    error: str = ""
    result: object = None

    def told(self, stage: Stage) -> str:
        """Return it in words; a look is named by what it has found."""
        return self.error or ("done" if self.result is None else f"done, {stage.named(self.result)}")


def outcome(act: Callable[[], object]) -> Outcome:
    """Do something, and return what it came to."""
    try:
        return Outcome(result=act())
    except DriverError as error:
        return Outcome(type(error).__name__)
    except Exception as error:  # noqa: BLE001  (it is compared, too: no order has it)
        return Outcome(f"{type(error).__name__}: {error}")


def _next_flush(writer: Writer | None, data: bytes) -> str:
    def act() -> None:
        assert writer is not None
        writer.write(data)
        writer.flush()

    return "none is open" if writer is None else outcome(act).error or "done"


def seen(stage: Stage, work: Outcome, rival: Outcome) -> Found:
    """Have the writers go on, discard them, and return all that can be seen."""
    told = work.told(stage), rival.told(stage)
    then = _next_flush(stage.our_writer, b"our next"), _next_flush(stage.their_writer, b"their next")
    left = tuple(sorted(stage.contents().items()))
    stage.discard()
    return Found(*told, then, left)


@cache
def in_order(work: Work, rival: Work, size: int, *, call_first: bool) -> Found:
    """Return what the reference driver makes of the two, one after the other."""
    driver = _reference()
    driver.delete("d")
    stage = Stage(driver, driver, "d", size)
    stage.prepare(work, rival)
    if call_first:
        ours, theirs = outcome(lambda: work.act(stage)), outcome(lambda: rival.act(stage))
    else:
        theirs, ours = outcome(lambda: rival.act(stage)), outcome(lambda: work.act(stage))
    return seen(stage, ours, theirs)


@cache
def _reference() -> CheckedDriver:
    return CheckedDriver(open_driver("memory:"))


def expect_an_order(found: Found, work: Work, rival: Work, size: int, what: str) -> None:
    """Check that one order of the two explains what was found."""
    call_first, rival_first = (in_order(work, rival, size, call_first=each) for each in (True, False))
    assert found in (call_first, rival_first), (
        f"{what} left what no order of the two explains:\n"
        f"found       {found}\ncall first  {call_first}\nrival first {rival_first}"
    )


SIZE: Final = 600
"""About so many bytes has an object of which calls meet."""


def encountered(
    ctx: Context, theirs: CheckedDriver, work: Work, rival: Work, moment: int, is_moment: IsMoment, patience: float
) -> int:
    """Have a rival come at a moment of a call, check what was found, and return how many moments the call has."""
    ctx.count("moments")
    stage = Stage(ctx.driver, theirs, f"m{ctx.counts['moments']}", SIZE)
    stage.prepare(work, rival)
    outcomes: dict[str, Outcome] = {}
    meeting = Meeting(lambda: outcomes.update(rival=outcome(lambda: rival.act(stage))), moment, is_moment, patience)
    meeting.of(lambda: outcomes.update(work=outcome(lambda: work.act(stage))))
    found = seen(stage, outcomes["work"], outcomes["rival"])
    expect_an_order(found, work, rival, SIZE, f"another handle's call, at event {moment} of the first,")
    return meeting.events

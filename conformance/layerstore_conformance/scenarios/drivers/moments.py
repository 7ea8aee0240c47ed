"""Moments: one call comes at each moment of another, in another thread; the end is that of one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.axes import Axis
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.moments import PATIENCE, Meeting, call_or_return, released
from layerstore_conformance.kit.places import Places
from layerstore_conformance.steps.encounters import ALL_RIVALS, ALL_WORKS, RIVALS, Work
from layerstore_conformance.steps.orders import encountered
from layerstore_conformance.steps.pairs import PAIRS, Make, met

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

MOMENTS: Final = {"quick": 4, "default": 10, "full": 200}
"""Moments of each call that are tried, of large objects fewer: a memory driver's has dozens, others' have hundreds."""

SIZES = Axis("size", {"small": 0, "3 MiB": 3 << 20})


@scenario(
    *("F4", "F2", "F3", "M3", "M4", "T1", "D2", "D3", "D4"),
    kills=(
        "fencing-checked-too-early",
        "version-compared-too-early",
        "flush-overtakes-a-change",
        "what-has-vanished-raises",
    ),
    rows=(119, 120, 121),
    axes=(Axis("pair", PAIRS), SIZES),
)
def two_calls_that_meet_at_any_moment_are_one_after_the_other(ctx: Context, pair: Make, size: int) -> None:
    """At whatever moment of a call another one comes, on the same key, what is there is as if one had come first.

    A check that is made before the lock is taken passes, unless the other call comes in between. Nor may a call let go
    of the lock half way: so the other one comes also whenever a lock was released.
    """
    pad, other = bulk("pad", size, ctx.seed), ctx.open()
    most = MOMENTS[ctx.profile] // (3 if size else 1)
    for is_moment in (call_or_return, released):
        events = met(ctx, pair, other, pad, 1 << 60, is_moment)
        for moment in sorted(ctx.random.sample(range(events), min(events, most))):
            met(ctx, pair, other, pad, moment, is_moment)


AMID: Final = {"quick": (4, 1), "default": (24, 6, 1), "full": (200, 50)}
"""Moments of each call that are tried: with the rival that tells most of it, with the next one, and with each other."""

BRIEFLY: Final = 0.003
"""Seconds for a rival that tells less; one that waits for a lock of the call is not waited for any longer."""


@scenario(
    *("F1", "F2", "F3", "F4", "S1", "R4", "L4", "W1", "M4", "P1", "D1", "D3", "E1", "T1"),
    kills=(
        "put-fences-before-it-stores",
        "delete-fences-before-it-removes",
        "prefix-deleted-key-by-key",
        "move-fences-before-it-moves",
        "unchanged-flush-asks-for-the-version",
        "properties-by-two-looks",
    ),
    rows=(119, 120),
    axes=(Axis("call", ALL_WORKS),),
)
def calls_that_meet_at_any_moment_agree_on_which_was_first(ctx: Context, call: Work) -> None:
    """At whatever moment of a call another one comes, what both return, leave, and fence has one order.

    A writer that is opened in the middle of a change lives on: it is fenced by it, or begins with what it has left.
    """
    is_moment, other = Places(ctx.driver).are_entered, ctx.open()
    first, second = ("a put", "a delete") if call.looks else ("an opening", "a delete")
    events = encountered(ctx, other, call, RIVALS[first], 1 << 60, is_moment, BRIEFLY)
    budget = AMID[ctx.profile]
    many = {first: budget[0], second: budget[1]}
    for name, rival in ALL_RIVALS.items():
        if call.looks and rival.looks:
            continue
        ctx.step(f"{name}, at moments of {events}")
        for moment in ctx.sample(range(events), many.get(name, budget[-1])):
            patience = PATIENCE if name == first else BRIEFLY
            encountered(ctx, other, call, rival, moment, is_moment, patience)


Use = Callable[[CheckedDriver], object]

CLOSED: Final = {"quick": 4, "default": 5, "full": 200}
"""Moments of each call at which another driver is closed."""

OLD, NEW = (bulk(label, 3000) for label in ("old", "new"))


def _append(driver: CheckedDriver) -> None:
    with driver.open_writer("d/key") as writer:
        writer.write(NEW)


def _write_in_steps(driver: CheckedDriver) -> None:
    """Write more than is gathered, before the end, and at the end."""
    with driver.open_writer("d/key") as writer:
        writer.write(bulk("new", 5 << 18))
        writer.seek(1000)
        writer.write(NEW[:500])
        writer.flush()
        writer.seek(0)
        writer.write(NEW[:700])


def _expect_old(driver: CheckedDriver) -> None:
    with driver.open_reader("d/key") as reader:
        assert driver.stat("d/key").version == reader.version, "another version than that of the reader"
        assert reader.read() == OLD, "a reader has read something else"


def _expect_two(driver: CheckedDriver) -> None:
    for names in (driver.list, driver.scan):
        assert list(names("d")) == ["d/beside", "d/key"], "a listing does not have what is there"


CALLS: Final[dict[str, tuple[Use, dict[str, bytes]]]] = {
    "put": (lambda driver: driver.put("d/key", NEW), {"d/key": NEW}),
    "append": (_append, {"d/key": OLD + NEW}),
    "many writes": (
        _write_in_steps,
        {"d/key": NEW[:700] + OLD[700:1000] + NEW[:500] + (OLD + bulk("new", 5 << 18))[1500:]},
    ),
    "read": (_expect_old, {"d/key": OLD}),
    "list": (_expect_two, {"d/key": OLD}),
    "move": (lambda driver: driver.move("d/key", "d/moved"), {"d/moved": OLD}),
    "move at a version": (
        lambda driver: driver.move("d/key", "d/moved", version=driver.stat("d/key").version),
        {"d/moved": OLD},
    ),
    "delete": (lambda driver: driver.delete("d/key"), {}),
}
"""Calls on ``d/key``, which holds the old bytes, and what they leave beside ``d/beside``."""


def _close(driver: CheckedDriver) -> None:
    driver.close()


def _use_and_close(driver: CheckedDriver) -> None:
    driver.stat("d/beside")
    driver.close()


CLOSES: Final[dict[str, tuple[Use, Use]]] = {
    "one that was used": (lambda driver: driver.stat("d/beside"), _close),
    "one that is new": (lambda driver: None, _use_and_close),
}
"""What a driver does before the call, and what it does at a moment of the call."""


@scenario(
    *("T1", "T2", "T3", "E4"),
    kills=("a-close-waits-for-no-call",),
    rows=(117, 119),
    axes=(Axis("call", CALLS), Axis("closed", CLOSES)),
)
def a_driver_closed_at_any_moment_leaves_anothers_call_alone(
    ctx: Context,
    call: tuple[Use, dict[str, bytes]],
    closed: tuple[Use, Use],
) -> None:
    """At whatever moment of a call another driver on the same store is closed, the call is done all the same.

    Drivers of one process may share a connection, and a close that takes it away from a call ends what works.
    """
    act, left = call
    before, close = closed
    events = _close_during(ctx, act, left, before, close, 1 << 60)
    for moment in ctx.sample(range(events), CLOSED[ctx.profile]):
        _close_during(ctx, act, left, before, close, moment)


def _close_during(ctx: Context, act: Use, left: dict[str, bytes], before: Use, close: Use, moment: int) -> int:
    """Have a driver closed at a moment of a call, check what the call left, and return how many moments it has."""
    ctx.count("moments")
    ctx.driver.delete("d")
    ctx.driver.put("d/beside", OLD)
    ctx.driver.put("d/key", OLD)
    with ctx.handles():
        other = ctx.open()
        before(other)
        meeting = Meeting(lambda: close(other), moment, Places(ctx.driver).have)
        meeting.of(lambda: act(ctx.driver))
        found = {key: ctx.open().get(key, 1 << 30) for key in ctx.stored("d")}
    wanted = {"d/beside": OLD, **left}
    told = {key: f"{len(data)} bytes" for key, data in found.items()}
    assert found == wanted, f"a driver closed at event {moment} of a call left {told}"
    return meeting.events

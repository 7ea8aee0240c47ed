"""Processes: another one calls at each moment of a call. Threads of one process may wait for each other instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import BackendUnavailableError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.moments import Meeting
from layerstore_conformance.kit.places import Places
from layerstore_conformance.processes.elsewhere import Elsewhere
from layerstore_conformance.processes.remote import RemoteDriver
from layerstore_conformance.steps.encounters import ALL_RIVALS, ALL_WORKS
from layerstore_conformance.steps.orders import encountered
from layerstore_conformance.steps.pairs import PAIRS, met

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

MOMENTS: Final = {"quick": 3, "default": 10, "full": 200}
"""Moments of each call that are tried."""

LOOKED: Final = {"quick": 10, "default": 50, "full": 500}
"""Moments of each look that are tried."""

LEAST: Final = 600_000
"""Bytes of an object that is read: more than a backend keeps in one row, or a client fetches at once."""

PATIENCE: Final = 0.2
"""Seconds at most for the other process to replace an object; a look that has a lock keeps it from that."""

LEAST_PATIENCE: Final = 0.03
"""Seconds that it has at least: what was measured may have been an idle moment."""

SPARE: Final = 4
"""How many times as long as it takes alone it may take, before it is thought to wait for a lock."""

PART: Final = 200_000
"""Bytes that are read at once."""


@scenario(
    *("F4", "F2", "F3", "M3", "M4", "C3", "D3"),
    kills=("fencing-checked-too-early", "version-compared-too-early", "flush-overtakes-a-change"),
    needs=("shared", "url"),
)
def two_processes_that_meet_at_any_moment_are_one_after_the_other(ctx: Context) -> None:
    """At whatever moment of a call another process makes one, on the same key, one has come before the other.

    A lock that only threads know, or a check that is made before the lock is taken, does for one process.
    """
    is_moment = Places(ctx.driver).have
    with Elsewhere(ctx) as there:
        other = CheckedDriver(RemoteDriver(ctx.open(), there), "there")
        for name, pair in PAIRS.items():
            ctx.step(name)
            events = met(ctx, pair, other, b"", 1 << 60, is_moment)
            for moment in ctx.sample(range(events), MOMENTS[ctx.profile]):
                met(ctx, pair, other, b"", moment, is_moment)


AMID: Final = {"quick": 1, "default": 3, "full": 100}
"""Moments of each call, with either of the rivals that tell most of it; with two others there is one."""

BRIEFLY: Final = 0.015
"""Seconds for a call of the other process; one that waits for a lock is not waited for any longer."""


@scenario(
    *("F1", "F2", "F3", "F4", "S1", "R4", "L4", "W1", "M4", "P1", "D1", "D3", "E1", "C3"),
    kills=("unchanged-flush-asks-for-the-version", "properties-by-two-looks"),
    needs=("shared", "url"),
    profile="default",
)
def calls_of_two_processes_agree_on_which_was_first(ctx: Context) -> None:
    """At whatever moment of a call another process makes one, what both return, leave, and fence has one order.

    A writer that another process opens in the middle of a change lives on: it is fenced, or begins with the change.
    """
    is_moment = Places(ctx.driver).are_entered
    with Elsewhere(ctx) as there:
        other = CheckedDriver(RemoteDriver(ctx.open(), there), "there")
        for name in ctx.sample(list(ALL_WORKS), len(ALL_WORKS)):
            call = ALL_WORKS[name]
            telling = ("a put", "a delete") if call.looks else ("an opening", "a delete")
            events = encountered(ctx, other, call, ALL_RIVALS[telling[0]], 1 << 60, is_moment, BRIEFLY)
            changes = [each for each, rival in ALL_RIVALS.items() if not rival.looks and each not in telling]
            for way in (*telling, *ctx.sample(changes, 2)):
                ctx.step(f"{name}, and {way} of another process, at moments of {events}")
                for moment in ctx.sample(range(events), AMID[ctx.profile] if way in telling else 1):
                    encountered(ctx, other, call, ALL_RIVALS[way], moment, is_moment, BRIEFLY)


Seen = tuple[str, int, bytes]
"""Version, size and bytes, or the first of them, as a look has found them."""

Look = Callable[[CheckedDriver], Seen]
Replace = Callable[[CheckedDriver, int], None]


def _content(number: int) -> bytes:
    """Return what a number stands for: its size and each of its bytes tell it, and none is a gap's."""
    return bytes([1 + number]) * (LEAST + number)


def _content_of(size: int) -> bytes:
    """Return what has this size; something else if nothing has."""
    return _content(1 if size == LEAST + 1 else 0)


def _put(driver: CheckedDriver, number: int) -> None:
    driver.put("d/key", _content(number))


def _move(driver: CheckedDriver, number: int) -> None:
    driver.put("new", _content(number))
    driver.move("new", "d/key")


def _delete_and_put(driver: CheckedDriver, number: int) -> None:
    driver.delete("d")
    driver.put("d/key", _content(number))


def _read(driver: CheckedDriver) -> Seen:
    """Read to the end, or until the version is gone: what was read before that counts, too."""
    data = b""
    with driver.open_reader("d/key") as reader:
        with suppress(BackendUnavailableError):
            while part := reader.read(PART):
                data += part
            assert len(data) == reader.size, f"a reader of {reader.size} bytes ends after {len(data)}"
        return reader.version, reader.size, data


def _look(driver: CheckedDriver) -> Seen:
    found = driver.stat("d/key")
    return found.version, found.size, _content_of(found.size)


def _open_writer(driver: CheckedDriver) -> Seen:
    writer = driver.open_writer("d/key")
    writer.discard()
    if writer.version is None:  # between a delete and a put
        raise PathNotFoundError("d/key")
    return writer.version, writer.size, _content_of(writer.size)


LOOKS: Final[dict[str, Look]] = {"read": _read, "stat": _look, "open a writer": _open_writer}
REPLACED: Final[dict[str, Replace]] = {"put": _put, "move": _move, "delete and put": _delete_and_put}


@scenario(
    *("R4", "S1", "C3", "P1", "M2", "W1"),
    kills=("version-and-bytes-by-two-looks", "missing-pieces-are-gaps", "properties-by-two-looks"),
    needs=("shared", "url"),
    profile="default",
)
def what_another_process_replaces_is_seen_of_one_version(ctx: Context) -> None:
    """At whatever moment of a look another process replaces the object, version, size and bytes are of one of them.

    If one request finds the version and the next one the bytes, the other process comes between them.
    """
    with Elsewhere(ctx) as there:
        alone = max(_seconds(there, replaced) for replaced in REPLACED.values())
        patience = min(PATIENCE, max(LEAST_PATIENCE, SPARE * alone))
        for name, look in LOOKS.items():
            events = _looked(ctx, there, look, _put, 1 << 60, patience)
            for moment in ctx.sample(range(events), LOOKED[ctx.profile]):
                way = ctx.random.choice(list(REPLACED))
                ctx.step(f"{name}, and {way} at moment {moment} of {events}")
                _looked(ctx, there, look, REPLACED[way], moment, patience)


def _seconds(there: Elsewhere, replaced: Replace) -> float:
    """Return how long the other process takes to replace the object while nobody looks."""
    there.run(_put, 0)
    began = time.monotonic()
    there.run(replaced, 1)
    return time.monotonic() - began


def _looked(ctx: Context, there: Elsewhere, look: Look, replaced: Replace, moment: int, patience: float) -> int:
    """Look while another process replaces the object; check what was seen, and return how many moments a look has."""
    _put(ctx.driver, 0)
    before = ctx.driver.stat("d/key").version
    found: list[Seen] = []

    def work() -> None:
        with suppress(PathNotFoundError, BackendUnavailableError):
            found.append(look(ctx.driver))

    meeting = Meeting(partial(there.run, replaced, 1), moment, Places(ctx.driver).have, patience)
    meeting.of(work)
    known = {before: _content(0), ctx.driver.stat("d/key").version: _content(1)}
    for version, size, data in found:  # one that is going may have a version that nobody else has seen
        wanted = known.get(version, _content_of(size))
        assert (size, wanted) in [(len(each), each) for each in known.values()], (
            f"version {version} has {len(wanted)} bytes, and not {size}"
        )
        ctx.same(data, wanted[: len(data)], f"what was read of version {version}")
    return meeting.events

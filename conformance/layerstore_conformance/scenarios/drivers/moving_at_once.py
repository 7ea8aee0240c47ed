"""Moving at once: many moves of many keys, in step with each other, of which none may wait for another for ever."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from layerstore import PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.places import Places
from layerstore_conformance.kit.together import in_step

if TYPE_CHECKING:
    from types import FrameType

    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

MOVES: Final = {"quick": 24, "default": 160, "full": 256}
"""Moves of keys of their own. Of so many, some share whatever locks a driver has for many keys, in either order."""

ROUNDS: Final = {"quick": 1, "default": 2, "full": 10}

PATIENCE: Final = 0.1
"""Seconds for the moves to come to their next moments."""


@scenario(
    *("T6", "T1", "M1", "M3"),
    kills=("moves-lock-the-source-first", "moves-lock-many-keys-in-the-order-of-names"),
    rows=(119,),
)
def many_moves_that_meet_all_come_to_their_ends(ctx: Context) -> None:
    """However many moves meet at the same moments, of the same keys and of others, each comes to its end.

    A move has two keys, and a driver may have a lock for each, or few for all. Whoever holds one must not wait for the
    other while somebody does the same the other way round.
    """
    places = Places(ctx.driver)

    def returns(frame: FrameType, event: str, called: object) -> bool:
        return event == "c_return" and places.have(frame, event, called)

    for number in range(ROUNDS[ctx.profile]):
        ctx.step(f"round {number}")
        alone = {f"{number}/from/{each}": f"{number}/to/{each}" for each in range(ctx.size(MOVES[ctx.profile]))}
        back = {f"{number}/one": f"{number}/two", f"{number}/two": f"{number}/one"}
        circle = {f"{number}/circle/{each}": f"{number}/circle/{(each + 1) % 5}" for each in range(5)}
        moves = {**alone, **back, **circle}
        for key in moves:
            ctx.driver.put(key, key.encode())
        done = in_step([partial(_moved, ctx.driver, *move) for move in moves.items()], returns, PATIENCE)
        assert all(done[: len(alone)]), "a move has not found its source"
        found = {key: ctx.driver.get(key, 1000).decode() for key in ctx.stored(f"{number}")}
        assert {key: found.pop(key, None) for key in alone.values()} == {new: old for old, new in alone.items()}
        for ring in (back, circle):  # a driver may copy all of them before it deletes any
            left = {key: found.pop(key) for key in ring if key in found}
            assert left, f"all objects that were moved to each other's keys are gone: {[*ring]}"
            assert {*left.values()} <= {*ring}, f"of objects that were moved to each other's keys, there is {left}"
        assert not found, f"beside what was moved there is {found}"


def _moved(driver: CheckedDriver, source: str, target: str) -> bool:
    """Move, and return whether there was something."""
    try:
        driver.move(source, target)
    except PathNotFoundError:
        return False
    return True

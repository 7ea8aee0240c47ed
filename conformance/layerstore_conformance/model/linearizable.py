"""Histories of a key: several actors use it, and one order of their operations must explain what each of them saw.

A store is linearizable if every operation seems to happen at one moment between its call and its return (Herlihy and
Wing, 1990). To find out, we try the orders that the times of a history allow (Wing and Gong, 1993), one key at a time:
a history is linearizable if that of each key is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")

What = Literal["write", "remove", "see", "take", "list"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one actor on one key."""

    actor: int
    what: What
    """``write`` a value, ``remove`` any value, ``see`` a value or none, ``take`` a value away, or ``list``."""
    key: str
    value: int | None
    """The value written, seen or taken; None if none was seen. For a listing, any value if the key was listed."""
    called: int
    returned: int
    """Moments: numbers that count up over the whole history."""

    def __str__(self) -> str:
        value = "nothing" if self.value is None else f"value {self.value}"
        return f"actor {self.actor}, from {self.called} to {self.returned}: {self.what} {self.key}: {value}"


class History:
    """The operations, as they happen; threads share it."""

    def __init__(self) -> None:
        """Begin empty."""
        self.operations: list[Operation] = []
        self._moments = itertools.count()

    def timed(self, act: Callable[[], T]) -> tuple[T, int, int]:
        """Do something, and return its result and the moments before and after."""
        called = next(self._moments)
        result = act()
        return result, called, next(self._moments)

    def add(self, actor: int, what: What, key: str, value: int | None, called: int, returned: int) -> None:
        """Keep an operation."""
        self.operations.append(Operation(actor, what, key, value, called, returned))

    def check(self) -> None:
        """Check that the operations on each key have an order.

        Raises:
            AssertionError: a key has none; the message has its history.
        """
        for key in sorted({each.key for each in self.operations}):
            found = sorted((each for each in self.operations if each.key == key), key=lambda each: each.called)
            assert explaining_order(found) is not None, "no order explains this:\n" + "\n".join(map(str, found))


def explaining_order(operations: Sequence[Operation]) -> list[Operation] | None:
    """Return the operations on one key, absent at first, in an order that explains them all; None if there is none."""
    dead: set[tuple[frozenset[int], int | None]] = set()

    def explained(done: frozenset[int], state: int | None) -> list[Operation] | None:
        left = [index for index in range(len(operations)) if index not in done]
        if not left:
            return []
        if (done, state) in dead:
            return None
        first_return = min(operations[index].returned for index in left)
        for index in left:
            each = operations[index]
            if each.called < first_return and _fits(each, state):
                rest = explained(done | {index}, _after(each, state))
                if rest is not None:
                    return [each, *rest]
        dead.add((done, state))
        return None

    return explained(frozenset(), None)


def _fits(each: Operation, state: int | None) -> bool:
    """Return whether an operation could have seen its value in this state."""
    if each.what == "list":
        return (each.value is None) == (state is None)
    return each.what in ("write", "remove") or each.value == state


def _after(each: Operation, state: int | None) -> int | None:
    if each.what == "write":
        return each.value
    return None if each.what in ("remove", "take") else state

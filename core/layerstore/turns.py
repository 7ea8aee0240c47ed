"""Turns: who uses something that is not made for several threads, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from layerstore.process import this_process

P = ParamSpec("P")
R = TypeVar("R")


class Turns:
    """Whose turn it is. A forked child begins anew: the thread that has the turn does not come along."""

    def __init__(self) -> None:
        """Leave the turn to whoever comes."""
        self.process = this_process()
        self.lock = RLock()  # not a plain lock, for which the thread that has it would wait for ever
        self.taken = False


class _TakesTurns(Protocol):
    _turns: Turns


HasTurnsT = TypeVar("HasTurnsT", bound=_TakesTurns)


def in_turn(method: Callable[Concatenate[HasTurnsT, P], R]) -> Callable[Concatenate[HasTurnsT, P], R]:
    """Have a method wait for all others of the same object that take turns.

    It raises RuntimeError in a thread that is in one of them: what a signal's handler or a finalizer calls comes in the
    middle of whatever its thread was at, and would use what is half changed.
    """

    @wraps(method)
    def taking_turns(self: HasTurnsT, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._turns.process != this_process():
            self._turns = Turns()
        turns = self._turns
        with turns.lock:  # no context manager in Python: it could be interrupted on its way in or out
            if turns.taken:
                raise RuntimeError(f"{self!r}: {method.__name__} is called in the middle of a call")
            try:
                turns.taken = True
                return method(self, *args, **kwargs)
            finally:
                turns.taken = False

    return taking_turns

"""Turns: threads use an object that is not made for several threads one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from layerstore.threads.process import this_process

P = ParamSpec("P")
R = TypeVar("R")


class Turns:
    """Whose turn it is. A forked child begins again, without the thread that had the turn."""

    def __init__(self) -> None:
        """Begin with nobody's turn."""
        self.process = this_process()
        self.lock = RLock()  # with a plain lock, the thread that has it would wait for itself for ever
        self.taken = False


class _TakesTurns(Protocol):
    _turns: Turns


HasTurnsT = TypeVar("HasTurnsT", bound=_TakesTurns)


def in_turn(method: Callable[Concatenate[HasTurnsT, P], R]) -> Callable[Concatenate[HasTurnsT, P], R]:
    """Make a method wait for all others of the same object that take turns.

    It raises RuntimeError in a thread that is already in one of them: a signal handler or a finalizer is called in the
    middle of what its thread was doing, and would see a half-changed object.
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

"""The places in a driver's own code at which something else may come between: a signal's handler, another process."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from inspect import CO_GENERATOR
from typing import TYPE_CHECKING

from layerstore.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, ModuleType

    from layerstore.checked import CheckedDriver

_PLANTED = "layerstore_conformance.defects"


class Places:
    """Tells for an event of ``sys.setprofile`` whether it is a place.

    A place is where Python may run a signal's handler: the beginning of a function, and the return of a built-in one.
    The return of ``acquire`` is none: nothing but a ``with`` statement could keep such a lock from staying locked. Nor
    is a generator, which may be ending, where nobody would be told of an exception; but that of a ``contextmanager``
    is told, and so :meth:`have_or_leave` has its places.
    """

    def __init__(self, driver: CheckedDriver) -> None:
        """Look at the package of a driver's classes, and at the planted defects."""
        self._rooms = _rooms(driver)
        self._ours: dict[str, bool] = {}

    def have(self, frame: FrameType, event: str, called: object) -> bool:
        """Return whether the event is a place in the driver's code."""
        if event not in {"call", "c_return"} or _takes_a_lock(called) or frame.f_code.co_flags & CO_GENERATOR:
            return False
        return self.own(frame)

    def have_or_leave(self, frame: FrameType, event: str, called: object) -> bool:
        """Return whether the event is a place in the driver's code, or the beginning of a function that it calls.

        The return of a call of the driver is a place, too: all is done, and whoever has called does not know it yet.
        The return of a built-in function is a place in what a ``with`` statement has entered or leaves, too: that may
        be the end of a transaction.
        """
        if self.have(frame, event, called) or (event == "c_return" and self._in_a_with_statement(frame, called)):
            return True
        if frame.f_code.co_flags & CO_GENERATOR:
            return False
        return (event == "call" and self._were_left(frame)) or (event == "return" and self._returns(frame))

    def are_entered(self, frame: FrameType, event: str, called: object) -> bool:
        """Return whether the driver's code begins, or goes on after something that it has called.

        That is where another thread comes between, generators included: after one lock is given up, say, and before the
        next one is taken.
        """
        if event == "return":
            caller = frame.f_back
            return caller is not None and self.own(caller)
        return event in {"call", "c_return"} and not _takes_a_lock(called) and self.own(frame)

    def _in_a_with_statement(self, frame: FrameType, called: object) -> bool:
        """Return whether a function was called by a generator of the driver that ``contextlib`` has begun or ends."""
        if not frame.f_code.co_flags & CO_GENERATOR or _takes_a_lock(called):
            return False
        return frame.f_back is not None and frame.f_back.f_globals.get("__name__") == "contextlib" and self.own(frame)

    def _were_left(self, frame: FrameType) -> bool:
        """Return whether the driver has called this; Python itself calls others, for a ``with`` say."""
        caller, called = frame.f_back, frame.f_code.co_qualname
        named = not called.rpartition(".")[2].startswith("__") and "<locals>" not in called
        return caller is not None and named and self.own(caller)

    def _returns(self, frame: FrameType) -> bool:
        """Return whether the driver gives a result to whoever has called it, who does not have it yet."""
        return frame.f_back is not None and self.own(frame) and not self.own(frame.f_back)

    def own(self, frame: FrameType) -> bool:
        """Return whether a frame is in the driver's code."""
        return self._has(frame.f_globals.get("__name__", ""))

    def modules(self) -> list[ModuleType]:
        """Return the modules of the driver's code that were imported so far."""
        return [module for name, module in list(sys.modules.items()) if self._has(name)]

    def _has(self, name: str) -> bool:
        if name not in self._ours:
            self._ours[name] = any(name == room or name.startswith(f"{room}.") for room in self._rooms)
        return self._ours[name]


def _takes_a_lock(called: object) -> bool:
    return getattr(called, "__name__", "") == "acquire"


@contextmanager
def profiled(ran: Callable[[FrameType, str, object], None]) -> Iterator[None]:
    """Tell of every event of this thread in the block, as ``sys.setprofile`` does; afterwards as before."""
    before = sys.getprofile()
    sys.setprofile(ran)
    try:
        yield
    finally:
        sys.setprofile(before)


def _rooms(driver: CheckedDriver) -> set[str]:
    """Return the packages, or modules, that a driver's classes are in; and that of the planted defects."""
    inner: object = driver
    while isinstance(getattr(inner, "inner", None), Driver):
        inner = getattr(inner, "inner")  # noqa: B009  (it is untyped)
    names = [each.__module__ for each in type(inner).__mro__ if issubclass(each, Driver) and each is not Driver]
    return {_PLANTED, *(name.rpartition(".")[0] or name for name in names)}

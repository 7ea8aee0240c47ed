"""Interrupt a driver in the middle of a call, as Ctrl-C or another signal's handler does."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_GENERATOR
from types import FrameType
from typing import TYPE_CHECKING

from layerstore.driver import Driver

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver

_PLANTED = "layerstore_conformance.defects"


class Interruption:
    """Raises ``KeyboardInterrupt`` at a place in a driver's own code, in this thread. The places are counted from 1.

    A place is where Python may run a signal's handler: the beginning of a function, and the return of a built-in one.
    The return of ``acquire`` is none: nothing but a ``with`` statement could keep such a lock from staying locked. Nor
    is a generator, which may be ending, where nobody would be told of an exception.

    ::

        with Interruption(driver, 7).lurking(), suppress(KeyboardInterrupt):
            driver.put("key", b"data")
    """

    def __init__(self, driver: CheckedDriver, place: int = 0) -> None:
        """Interrupt ``driver`` at its ``place``-th place; 0 only counts."""
        self.places = 0
        self._place = place
        self._rooms = _rooms(driver)
        self._ours: dict[str, bool] = {}

    @contextmanager
    def lurking(self) -> Iterator[None]:
        """Interrupt what this thread does in the block; what it has just got may be lost, and is not warned of."""
        before = sys.getprofile()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            sys.setprofile(self._ran)
            try:
                yield
            finally:
                sys.setprofile(before)

    def _ran(self, frame: FrameType, event: str, called: object) -> None:
        if event not in {"call", "c_return"} or getattr(called, "__name__", "") == "acquire":
            return
        if frame.f_code.co_flags & CO_GENERATOR:
            return
        name = frame.f_globals.get("__name__", "")
        if name not in self._ours:
            self._ours[name] = any(name == room or name.startswith(f"{room}.") for room in self._rooms)
        if self._ours[name]:
            self.places += 1
            if self.places == self._place:
                raise KeyboardInterrupt(f"in line {frame.f_lineno} of {frame.f_code.co_filename}")


def _rooms(driver: CheckedDriver) -> set[str]:
    """Return the packages, or modules, that a driver's classes are in; and that of the planted defects."""
    inner: object = driver
    while isinstance(getattr(inner, "inner", None), Driver):
        inner = getattr(inner, "inner")  # noqa: B009  (it is untyped)
    names = [each.__module__ for each in type(inner).__mro__ if issubclass(each, Driver) and each is not Driver]
    return {_PLANTED, *(name.rpartition(".")[0] or name for name in names)}

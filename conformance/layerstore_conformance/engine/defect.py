"""Planted defects: drivers, and cores, with one thing wrong. The suite must find every one."""

from __future__ import annotations

import gc
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from layerstore_conformance.engine.loading import load_all
from layerstore_conformance.kit.passing import PassingDriver

if TYPE_CHECKING:
    from layerstore.driver import Driver

Wrap = Callable[["Driver"], "Driver"]
"""Puts something in front of a driver."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One defect."""

    id: str
    """The class's or function's name, with dashes."""
    title: str
    """The defect, in one line."""
    clauses: tuple[str, ...]
    """The clauses it breaks."""
    plant: Callable[[], AbstractContextManager[Wrap]]
    """Plant it: this yields a wrapper, which is put in front of every handle while the defect is planted."""


class DefectiveDriver(PassingDriver):
    """A driver with a planted defect: all its handles share ``memory``."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Pass every call on to ``inner``, but for the defect."""
        super().__init__(inner)
        self.memory = memory


DriverT = TypeVar("DriverT", bound=DefectiveDriver)
Core = Callable[[], Iterator[None]]
_FOUND: dict[str, Defect] = {}
_planted: list[str] = []


def planted_now() -> tuple[str, ...]:
    """Return the ids of the defects that are planted now: another process must plant them, too."""
    return tuple(_planted)


def planted(*clauses: str) -> Callable[[type[DriverT]], type[DriverT]]:
    """Make a driver class a defect; the first line of its docstring is the title."""

    def mark(driver: type[DriverT]) -> type[DriverT]:
        @contextmanager
        def plant() -> Iterator[Wrap]:
            yield partial(_wrap, driver, {})

        words = re.sub(r"(?<!^)(?=[A-Z])", "-", driver.__name__).lower()
        _found(words, driver, clauses, plant)
        return driver

    return mark


def planted_in_core(*clauses: str) -> Callable[[Core], Core]:
    """Make a defect of a generator function that changes the core, yields, and changes it back."""

    def mark(change: Core) -> Core:
        @contextmanager
        def plant() -> Iterator[Wrap]:
            with contextmanager(change)():
                yield lambda driver: driver

        _found(change.__name__.replace("_", "-"), change, clauses, plant)
        return change

    return mark


def _wrap(kind: type[DefectiveDriver], memory: dict[str, Any], driver: Driver) -> Driver:
    return kind(driver, memory)


def _found(
    name: str, where: object, clauses: tuple[str, ...], plant: Callable[[], AbstractContextManager[Wrap]]
) -> None:
    @contextmanager
    def plant_by_name() -> Iterator[Wrap]:
        _planted.append(name)
        try:
            with plant() as wrap, _collecting_on_request():
                yield wrap
        finally:
            _planted.remove(name)

    _FOUND[name] = Defect(name, (inspect.getdoc(where) or "").partition("\n")[0], clauses, plant_by_name)


@contextmanager
def _collecting_on_request() -> Iterator[None]:
    """Switch automatic garbage collection off.

    Some defects call the driver when a handle is collected. No driver has to survive that in the middle of one of its
    methods (clause T1): one with a lock would wait for itself.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def defects() -> dict[str, Defect]:
    """Return every defect, by id."""
    load_all("layerstore_conformance.defects")
    return dict(sorted(_FOUND.items()))

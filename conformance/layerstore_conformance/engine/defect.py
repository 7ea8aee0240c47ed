"""Planted defects: drivers, and cores, with one thing wrong. The suite must find every one."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from layerstore_conformance.engine.loading import load_all
from layerstore_conformance.kit.collection import uncollected
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
    planter: Callable[[str, Mapping[str, Any]], AbstractContextManager[Wrap]]
    """Takes the id and the parameters."""
    ranges: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The values of each parameter of a family of defects; none of a single defect."""
    at: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of one defect of a family."""

    def plant(self) -> AbstractContextManager[Wrap]:
        """Plant it: this yields a wrapper, which is put in front of every handle while the defect is planted.

        Of a family it plants the first that is drawn.
        """
        drawn = self.drawn(0) if self.ranges and not self.at else self
        return drawn.planter(drawn.id, drawn.at)

    def drawn(self, seed: int) -> Defect:
        """Draw one defect of a family, named ``family@seed``; a single defect is itself."""
        if not self.ranges:
            return self
        choose = random.Random(f"{self.id} {seed}")
        at = {name: choose.choice(values) for name, values in self.ranges.items()}
        return replace(self, id=f"{self.id}@{seed}", title=f"{self.title} ({_told(at)})", at=at)


def _told(at: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in at.items())


class DefectiveDriver(PassingDriver):
    """A driver with a planted defect: all its handles share ``memory``."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Pass every call on to ``inner``, but for the defect."""
        super().__init__(inner)
        self.memory = memory

    @property
    def at(self) -> Mapping[str, Any]:
        """The parameters that were drawn, of a family."""
        drawn: Mapping[str, Any] = self.memory.get("at", {})
        return drawn


DriverT = TypeVar("DriverT", bound=DefectiveDriver)
Core = Callable[..., Iterator[None]]
_FOUND: dict[str, Defect] = {}
_planted: list[str] = []


def planted_now() -> tuple[str, ...]:
    """Return the ids of the defects that are planted now: another process must plant them, too."""
    return tuple(_planted)


def planted(*clauses: str, **ranges: Sequence[Any]) -> Callable[[type[DriverT]], type[DriverT]]:
    """Make a driver class a defect; the first line of its docstring is the title.

    With ranges it is a family of defects, one for each choice of a value from every range: ``self.at`` has the values.
    """

    def mark(driver: type[DriverT]) -> type[DriverT]:
        @contextmanager
        def plant(at: Mapping[str, Any]) -> Iterator[Wrap]:
            yield partial(_wrap, driver, {"at": at})

        words = re.sub(r"(?<!^)(?=[A-Z])", "-", driver.__name__).lower()
        _found(words, driver, clauses, plant, ranges)
        return driver

    return mark


def planted_in_core(*clauses: str, **ranges: Sequence[Any]) -> Callable[[Core], Core]:
    """Make a defect of a generator function that changes the core, yields, and changes it back.

    With ranges it is a family, as of :func:`planted`: the function takes the values.
    """

    def mark(change: Core) -> Core:
        @contextmanager
        def plant(at: Mapping[str, Any]) -> Iterator[Wrap]:
            with contextmanager(change)(**at):
                yield lambda driver: driver

        _found(change.__name__.replace("_", "-"), change, clauses, plant, ranges)
        return change

    return mark


def _wrap(kind: type[DefectiveDriver], memory: dict[str, Any], driver: Driver) -> Driver:
    return kind(driver, memory)


def _found(
    name: str,
    where: object,
    clauses: tuple[str, ...],
    plant: Callable[[Mapping[str, Any]], AbstractContextManager[Wrap]],
    ranges: Mapping[str, Sequence[Any]],
) -> None:
    @contextmanager
    def plant_by_name(planted_as: str, at: Mapping[str, Any]) -> Iterator[Wrap]:
        _planted.append(planted_as)
        try:
            # Some defects call the driver when a handle is collected. No driver has to survive that in the middle of
            # one of its methods (clause T1): one with a lock would wait for itself.
            with plant(at) as wrap, uncollected():
                yield wrap
        finally:
            _planted.remove(planted_as)

    title = (inspect.getdoc(where) or "").partition("\n")[0]
    _FOUND[name] = Defect(name, title, clauses, plant_by_name, ranges)


@cache
def defects() -> dict[str, Defect]:
    """Return every defect, by id."""
    load_all("layerstore_conformance.defects")
    return dict(sorted(_FOUND.items()))


@contextmanager
def planted_before(driver: Driver, chosen: Iterable[Defect]) -> Iterator[Driver]:
    """Plant defects for the block, and yield the driver with them in front of it, the last one first."""
    with ExitStack() as stack:
        for each in chosen:
            driver = stack.enter_context(each.plant())(driver)
        yield driver


def defect_named(name: str) -> Defect:
    """Return a defect by its id, or one of a family, by ``family@seed``.

    Raises:
        LookupError: there is none.
    """
    family, _, seed = name.partition("@")
    if family not in defects() or (seed and not seed.isdecimal()):
        raise LookupError(f"no planted defect {name!r}")
    return defects()[family].drawn(int(seed)) if seed else defects()[family]

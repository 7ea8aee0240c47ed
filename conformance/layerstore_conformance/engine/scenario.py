"""Scenarios, which the suite is made of: each has one behaviour, a stable id, its clauses, and the defects it kills."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from layerstore_conformance.engine.loading import load_all
from layerstore_conformance.engine.profile import PROFILES, Profile

if TYPE_CHECKING:
    from layerstore_conformance.engine.axes import Axis

Check = Callable[..., None]
"""Takes the context, and the value of a point on each of the scenario's axes."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One behaviour that every driver has, or declares."""

    id: str
    """``<module>.<function>``, with dashes. It stays if the text changes; if it moves, by the module's ``IDS``."""
    group: str
    """The table it is reported in: its module's ``GROUP``."""
    title: str
    """The behaviour, as a sentence."""
    why: str
    """The harm that a driver without it does; may be empty."""
    clauses: tuple[str, ...]
    """The clauses of docs/contract.md that it checks; for a scenario about layers, those that layers rely on."""
    kills: tuple[str, ...]
    """The planted defects that it must find."""
    rows: tuple[int, ...]
    """The rows that it covers in docs/coverage.md, the table of behaviours that other suites check."""
    needs: tuple[str, ...]
    """Capabilities that must be declared: of the driver (``shared``), or of the harness (``url``, ``cut``); or found
    out (``holes``, ``small_disk``, ``another_user``)."""
    without: tuple[str, ...]
    """Capabilities that must be declared missing."""
    profile: Profile
    """The smallest profile it belongs to."""
    check: Check
    axes: tuple[Axis, ...] = ()
    """What it sweeps over; the profile says how many places are tried."""

    @property
    def module(self) -> str:
        """The first part of its id."""
        return self.id.partition(".")[0]


def scenario(
    *clauses: str,
    kills: tuple[str, ...],
    rows: tuple[int, ...] = (),
    needs: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    profile: Profile = "quick",
    axes: tuple[Axis, ...] = (),
) -> Callable[[Check], Check]:
    """Make a function of a context a scenario; its docstring's first line is the title, the rest is why."""

    def mark(check: Check) -> Check:
        title, _, why = inspect.cleandoc(check.__doc__ or "").partition("\n\n")
        module = importlib.import_module(check.__module__)
        made = Scenario(
            id=f"{getattr(module, 'IDS', check.__module__.rpartition('.')[2])}.{check.__name__}".replace("_", "-"),
            group=module.GROUP,
            title=" ".join(title.split()),
            why=" ".join(why.split()),
            clauses=clauses,
            kills=kills,
            rows=rows,
            needs=needs,
            without=without,
            profile=profile,
            check=check,
            axes=axes,
        )
        _FOUND[made.id] = made
        return check

    return mark


_FOUND: dict[str, Scenario] = {}


@cache
def scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, by group and module, and then in the order of the source."""
    load_all("layerstore_conformance.scenarios")
    return tuple(sorted(_FOUND.values(), key=lambda each: (GROUPS.index(each.group), each.module)))


GROUPS = (
    *("primitives", "upload", "resume", "verify", "cancel", "concurrency"),
    *("crash", "faults", "model", "security", "upkeep", "leaks", "cost"),
)
"""In the order of the report."""


def selected(profile: Profile, only: tuple[str, ...] = ()) -> tuple[Scenario, ...]:
    """Return the scenarios of a profile; if ``only`` has names, those of these groups, modules and ids.

    Raises:
        LookupError: nothing has that name.
    """
    names = {name: [each for each in scenarios() if name in {each.id, each.group, each.module}] for name in only}
    for name, found in names.items():
        if not found:
            raise LookupError(f"no scenario, module or group {name!r}")
    wanted = {each.id for found in names.values() for each in found} if only else {each.id for each in scenarios()}
    within = PROFILES[: PROFILES.index(profile) + 1]
    return tuple(each for each in scenarios() if each.id in wanted and each.profile in within)

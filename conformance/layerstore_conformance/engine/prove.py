"""The proof: every scenario finds the planted defects that it claims to find."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from layerstore_conformance.engine.defect import Defect, defects
from layerstore_conformance.engine.run import Result, run
from layerstore_conformance.engine.scenario import Scenario

if TYPE_CHECKING:
    from layerstore_conformance.engine.profile import Profile
    from layerstore_conformance.harness import Harness


def claims(of: Iterable[Scenario]) -> list[tuple[Defect, Scenario]]:
    """Return every claim to find a defect.

    Raises:
        LookupError: a scenario claims to find a defect that does not exist.
    """
    known = defects()
    for each in of:
        for name in each.kills:
            if name not in known:
                raise LookupError(f"{each.id} claims to find {name!r}, which is no planted defect")
    return [(known[name], each) for each in of for name in each.kills]


def finds(scenario: Scenario, defect: Defect, harness: Harness, *, seed: int = 0) -> str:
    """Plant a defect and run a scenario; return the message of its failed check, empty if it passed."""
    result = attempt(scenario, defect, harness, seed=seed)
    return result.reason if result.outcome == "failed" else ""


def attempt(scenario: Scenario, defect: Defect, harness: Harness, *, seed: int = 0) -> Result:
    """Plant a defect, run a scenario, and return its result."""
    harness.open().close()  # the URL is looked up once, before the defect is planted
    swept = scenario.axes or scenario.profile != "quick"  # a few places prove nothing of the others
    profile: Profile = "default" if swept else "quick"
    with defect.plant() as wrap:
        return run(scenario, harness, seed=seed, profile=profile, wrap=wrap)

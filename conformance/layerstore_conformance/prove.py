"""The proof: every planted defect is found by every scenario that says it finds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from layerstore_conformance.defect import Defect, defects
from layerstore_conformance.run import Result, run
from layerstore_conformance.scenario import Scenario, scenarios

if TYPE_CHECKING:
    from layerstore_conformance.harness import Harness


@dataclass
class Proof:
    """What became of every claim to find a defect."""

    found: dict[str, dict[str, str]] = field(default_factory=dict)
    """By defect and scenario: what the failed check said."""
    missed: list[tuple[str, str]] = field(default_factory=list)
    """Defect and scenario: the scenario passed although the defect was planted."""
    skipped: list[tuple[str, str, str]] = field(default_factory=list)
    """Defect, scenario, and why the scenario does not apply here."""

    @property
    def survivors(self) -> list[str]:
        """Defects that no scenario found, or that none of those that claim to could be run for."""
        return [name for name in defects() if not self.found.get(name)]

    @property
    def holds(self) -> bool:
        """Whether every claim that could be tried was true, and no defect that was tried survived."""
        tried = {name for name, _ in self.missed} | set(self.found)
        return not self.missed and bool(tried) and not [name for name in self.survivors if name in tried]


def claims(of: Iterable[Scenario]) -> list[tuple[Defect, Scenario]]:
    """Return every claim to find a defect.

    Raises:
        LookupError: a scenario claims to find a defect that there is not.
    """
    known = defects()
    for each in of:
        for name in each.kills:
            if name not in known:
                raise LookupError(f"{each.id} claims to find {name!r}, which is no planted defect")
    return [(known[name], each) for each in of for name in each.kills]


def finds(scenario: Scenario, defect: Defect, harness: Harness, *, seed: int = 0) -> str:
    """Plant a defect and run a scenario; return what its failed check said, empty if it passed."""
    result = attempt(scenario, defect, harness, seed=seed)
    return result.reason if result.outcome == "failed" else ""


def attempt(scenario: Scenario, defect: Defect, harness: Harness, *, seed: int = 0) -> Result:
    """Plant a defect, run a scenario, and return what became of it."""
    with defect.plant() as wrap:
        return run(scenario, harness, seed=seed, profile="quick", wrap=wrap)


def prove(harness: Harness, of: Iterable[Scenario] | None = None, *, seed: int = 0) -> Proof:
    """Try every claim on a store that works."""
    proof = Proof()
    for defect, scenario in claims(scenarios() if of is None else of):
        result = attempt(scenario, defect, harness, seed=seed)  # a defect may be what is declared
        if result.outcome == "skipped":
            proof.skipped.append((defect.id, scenario.id, result.reason))
        elif result.outcome == "failed":
            proof.found.setdefault(defect.id, {})[scenario.id] = result.reason
        else:
            proof.missed.append((defect.id, scenario.id))
    return proof

"""The changes between two runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerstore_conformance.reports.document import SCHEMA
from layerstore_conformance.reports.reading import read_document

Scenarios = dict[str, dict[str, Any]]
"""Records by id."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes, by scenario id; each is in one list."""

    newly_failing: tuple[str, ...]
    """Failed, and did not fail before; new scenarios included."""
    newly_passing: tuple[str, ...]
    appeared: tuple[str, ...]
    disappeared: tuple[str, ...]
    changed: tuple[str, ...]
    """Skipped or waived, and was not before, or for another reason."""

    def lines(self) -> list[str]:
        """Return a line for each scenario."""
        kinds = {
            "newly failing": self.newly_failing,
            "newly passing": self.newly_passing,
            "appeared": self.appeared,
            "disappeared": self.disappeared,
            "changed": self.changed,
        }
        return [f"{kind}: {change}" for kind, changes in kinds.items() for change in changes]


def read_report(path: Path) -> Scenarios:
    """Read the scenarios of a ``report.json``.

    Raises:
        DocumentError: it cannot be read, or has another schema.
    """
    return {each["id"]: each for each in read_document(path, SCHEMA)["records"]}


def difference(before: Scenarios, after: Scenarios) -> Difference:
    """Compare two runs."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(before.keys() | after.keys()):
        kind, change = _change(before.get(name), after.get(name))
        kinds.setdefault(kind, []).append(name + change)
    names = ("newly_failing", "newly_passing", "appeared", "disappeared", "changed")
    return Difference(**{name: tuple(kinds.get(name, ())) for name in names})


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[str, str]:
    old, new = _state(before), _state(after)
    if new == old:
        return "", ""
    if after is None:
        return "disappeared", f" (was {old})"
    if after["outcome"] == "failed":
        return ("newly_failing", f" (was {old})") if before is None or before["outcome"] != "failed" else ("", "")
    if before is None:
        return "appeared", f" ({new})"
    return ("newly_passing" if new == "passed" else "changed"), f" (was {old}, is {new})"


def _state(record: dict[str, Any] | None) -> str:
    """Return the outcome of a scenario, with the reason of a skip or a waiver."""
    if record is None:
        return "not there"
    reason = {"skipped": record["reason"], "waived": record["waiver"]}.get(record["outcome"], "")
    return f"{record['outcome']}: {reason}" if reason else str(record["outcome"])

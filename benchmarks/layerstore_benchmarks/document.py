"""``bench.json``: everything a run has measured. The table, the page and the comparison are drawn from it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypedDict, cast

from layerstore.hashing import sha256
from layerstore_benchmarks.case import Case
from layerstore_conformance.reports.document import system
from layerstore_conformance.reports.reading import read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from layerstore_benchmarks.counting import Costs
    from layerstore_benchmarks.run import Run, Times
    from layerstore_conformance.engine.subject import Subject

SCHEMA = "layerstore-bench/1"
"""The form of the document; another number where a reader of this one would go wrong."""


class Measured(TypedDict):
    """A case, and what was measured of it."""

    policy: str
    size: int
    write_size: int
    resumes: int
    repeats: int
    seconds: Times
    costs: Costs


class Document(TypedDict):
    """``bench.json``."""

    schema: str
    suite: dict[str, str]
    driver: Subject
    environment: dict[str, Any]
    started: str
    seconds: float
    options: dict[str, int]
    cases: list[Measured]


def document(run: Run, subject: Subject, options: Mapping[str, int], began: datetime) -> Document:
    """Make the document of a run."""
    return {
        "schema": SCHEMA,
        "suite": {"name": "layerstore-bench", "version": version("layerstore")},
        "driver": subject,
        "environment": environment(),
        "started": began.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 3),
        "options": dict(options),
        "cases": [_measured(case, run) for case in run.cases],
    }


def environment() -> dict[str, Any]:
    """Tell the machine, as far as it bears on the figures."""
    return {**system(), "processors": os.cpu_count(), "hash_states": sha256.exportable()}


def _measured(case: Case, run: Run) -> Measured:
    times = [{step: round(seconds, 9) for step, seconds in each.items()} for each in run.times[case]]
    return {
        "policy": case.policy,
        "size": case.size,
        "write_size": case.write_size,
        "resumes": case.resumes,
        "repeats": case.repeats,
        "seconds": times,
        "costs": run.costs[case],
    }


def read(path: Path) -> Document:
    """Read a ``bench.json``.

    Raises:
        DocumentError: it cannot be read, or is none of this version.
    """
    return cast("Document", read_document(path, SCHEMA))


class Results:
    """A document's figures, by case."""

    def __init__(self, told: Document) -> None:
        """Look cases up in ``told``."""
        self._cases = {_case(each): each for each in told["cases"]}

    def __contains__(self, case: Case) -> bool:
        return case in self._cases

    def cases(self) -> list[Case]:
        """Return all cases."""
        return list(self._cases)

    def costs(self, case: Case) -> Costs:
        """Return what was counted."""
        return self._cases[case]["costs"]

    def seconds(self, case: Case) -> float:
        """Return the median of the seconds of a layer."""
        return median(_totals(self._cases[case]))

    def spread(self, case: Case) -> tuple[float, float]:
        """Return the least and the most."""
        totals = _totals(self._cases[case])
        return min(totals), max(totals)

    def step(self, case: Case, name: str) -> float:
        """Return the median of the seconds of a step; 0 for one that a case does not have."""
        return median(each.get(name, 0.0) for each in self._cases[case]["seconds"])

    def rate(self, case: Case) -> float:
        """Return bytes of the layer in a second."""
        return case.size / self.seconds(case)

    def overhead(self, case: Case) -> float | None:
        """Return what a case takes beyond its floor, as a part of that: 0.25 is a quarter; compared round by round."""
        if case.floor not in self._cases or case.policy == "cancel":
            return None
        pairs = zip(_totals(self._cases[case]), _totals(self._cases[case.floor]), strict=True)
        return median(ours / floor for ours, floor in pairs) - 1

    def amplification(self, case: Case) -> float:
        """Return how many bytes of the layer were read back for each byte of it."""
        return self.costs(case)["bytes_read"] / case.size


def _case(told: Measured) -> Case:
    return Case(told["policy"], told["size"], told["write_size"], told["resumes"])  # type: ignore[arg-type]  # from JSON


def _totals(told: Measured) -> list[float]:
    return [sum(each.values()) for each in told["seconds"]]

"""Judge a run: compare the scenarios that were selected with their results, and decide the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from layerstore.registry import Registry
from layerstore_conformance.cli.status import CONFIGURATION
from layerstore_conformance.verdict.record import Record
from layerstore_conformance.verdict.waivers import Waiver

if TYPE_CHECKING:
    from layerstore_conformance.engine.subject import Subject

RunOutcome = Literal["passed", "failed", "incomplete", "error"]

OUTCOMES = ("passed", "failed", "skipped", "waived")
"""The outcomes of a scenario. A skip is no pass."""

STATUS: dict[RunOutcome, int] = {"passed": 0, "failed": 1, "incomplete": 6, "error": CONFIGURATION}
"""Exit status. 2 to 5 are pytest's own."""

_REPORTED = {"passed": "passed", "failed": "failed", "skipped": "skipped", "waived": "skipped"}
"""The report of pytest for a scenario's test, unless a hook has changed it."""

NAMED = 5
"""How many scenarios a problem names."""


@dataclass
class Evidence:
    """The results of one suite: of one module with the scenarios, and one parameter of its harness."""

    suite: str
    records: list[tuple[Record, str]] = field(default_factory=list)
    """Each with the outcome that pytest reported for its test."""
    claims: list[dict[str, str]] = field(default_factory=list)
    unwritten: Counter[str] = field(default_factory=Counter)
    """How many scenarios failed for each unwritten part of the driver."""
    subject: Subject | None = None
    unusable: str = ""
    """The reason why no scenario could be run; empty if some could."""
    stopped: bool = False
    """The user, or ``-x``, stopped the run."""


@dataclass(frozen=True)
class Expected:
    """The results that a run must have."""

    scenarios: tuple[str, ...]
    """The ids that were selected, in the order of the report."""
    claims: frozenset[tuple[str, str]] = frozenset()
    """Defect and scenario, of a proof."""
    waivers: Mapping[str, Waiver] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """The judgement of a run."""

    outcome: RunOutcome
    records: tuple[Record, ...]
    """In the order of the report; each as often as it was run."""
    claims: tuple[dict[str, str], ...]
    problems: tuple[str, ...]
    """The reasons why it has not passed, other than failed scenarios."""
    warnings: tuple[str, ...]
    totals: dict[str, int]

    @property
    def status(self) -> int:
        """The exit status."""
        return STATUS[self.outcome]

    @property
    def sentence(self) -> str:
        """The judgement in one line."""
        counts = ", ".join(f"{self.totals[name]} {name}" for name in OUTCOMES if self.totals[name] or name == "passed")
        return "; ".join([f"{self.outcome.upper()}: {counts}", *self.problems])

    def counts(self) -> dict[str, int]:
        """Add up the counts of scenarios: cut points, say."""
        total: Counter[str] = Counter()
        for each in self.records:
            total.update(each["counts"])
        return dict(sorted(total.items()))

    def groups(self) -> dict[str, dict[str, int]]:
        """Count the outcomes by group."""
        counted: dict[str, Counter[str]] = {}
        for each in self.records:
            counted.setdefault(each["group"], Counter())[each["outcome"]] += 1
        return {group: {name: found[name] for name in OUTCOMES} for group, found in counted.items()}


def judge(expected: Expected, seen: Evidence) -> Judgement:
    """Judge a run by its expected and its actual results."""
    place = {name: index for index, name in enumerate(expected.scenarios)}
    records = sorted(
        (_waived(each, expected.waivers) for each, _ in seen.records),
        key=lambda each: place.get(each["id"], len(place)),
    )
    totals = Counter(each["outcome"] for each in records)
    gaps = [] if seen.unusable else _gaps(expected, seen)
    failures = [*_expired(expected), *_unproved(seen.claims)]
    outcome: RunOutcome = "passed"
    if totals["failed"] or failures:
        outcome = "failed"
    if gaps:
        outcome = "incomplete"
    if seen.unusable:
        outcome = "error"
    return Judgement(
        outcome,
        tuple(records),
        tuple(sorted(seen.claims, key=lambda each: (each["defect"], each["scenario"]))),
        (*([seen.unusable] if seen.unusable else []), *gaps, *failures),
        (*_ignored(seen), *_warnings(expected.waivers, records)),
        {name: totals[name] for name in OUTCOMES},
    )


def _waived(record: Record, waivers: Mapping[str, Waiver]) -> Record:
    waiver = waivers.get(record["id"])
    if waiver is None or waiver.expired or record["outcome"] != "failed":
        return record
    return {**record, "outcome": "waived", "waiver": f"until {waiver.expires}: {waiver.reason}"}


def _gaps(expected: Expected, seen: Evidence) -> list[str]:
    """Return the reasons why a run is incomplete: scenarios not run, run twice, or reported with another outcome."""
    counted = Counter(record["id"] for record, _ in seen.records)
    missing = [name for name in expected.scenarios if not counted[name]]
    twice = [name for name, times in counted.items() if times > 1]
    strange = [name for name in counted if name not in expected.scenarios]
    changed = [
        record["id"]
        for record, reported in seen.records
        if reported != _REPORTED[_waived(record, expected.waivers)["outcome"]]
    ]
    unclaimed = expected.claims - {(each["defect"], each["scenario"]) for each in seen.claims}
    if not expected.scenarios:
        return ["no scenario was selected"]
    if not seen.records:
        return ["stopped before the first scenario" if seen.stopped else "no scenario was run"]
    reasons = [
        ("not run" if not seen.stopped else "not run, because the run was stopped", missing),
        ("run more than once", twice),
        ("run without being selected", strange),
        ("reported with another outcome than their own", changed),
        ("claims not tried", sorted(f"{scenario} finds {defect}" for defect, scenario in unclaimed)),
    ]
    return [f"{len(names)} {what}: {_some(names)}" for what, names in reasons if names]


def _expired(expected: Expected) -> list[str]:
    return [
        f"the waiver of {waiver.id} expired on {waiver.expires}"
        for waiver in expected.waivers.values()
        if waiver.expired and waiver.id in expected.scenarios
    ]


def _unproved(claims: Sequence[Mapping[str, str]]) -> list[str]:
    missed = [f"{each['defect']} by {each['scenario']}" for each in claims if each["outcome"] == "missed"]
    return [f"planted and not found: {_some(missed)}"] if missed else []


def _ignored(seen: Evidence) -> list[str]:
    """Warn if layerstore's own driver was run, and not an author's with the same scheme."""
    ignored = Registry().ignored(seen.subject["scheme"]) if seen.subject else ""
    return [ignored] if ignored else []


def _warnings(waivers: Mapping[str, Waiver], records: Sequence[Record]) -> list[str]:
    return [
        f"{each['id']} is waived but {each['outcome']}: remove the waiver"
        for each in records
        if each["id"] in waivers and each["outcome"] in ("passed", "skipped")
    ]


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])

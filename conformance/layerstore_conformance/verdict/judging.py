"""What a run amounts to: which scenarios there were, what became of each, and what that is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from layerstore.registry import Registry
from layerstore_conformance.verdict.record import Record
from layerstore_conformance.verdict.waivers import Waiver

if TYPE_CHECKING:
    from layerstore_conformance.engine.subject import Subject

Outcome = Literal["passed", "failed", "incomplete", "error"]

OUTCOMES = ("passed", "failed", "skipped", "waived")
"""What may become of a scenario. A skip is none of the others: it is no pass."""

STATUS: dict[Outcome, int] = {"passed": 0, "failed": 1, "incomplete": 6, "error": 7}
"""Exit status. 2 to 5 are pytest's own."""

_REPORTED = {"passed": "passed", "failed": "failed", "skipped": "skipped", "waived": "skipped"}
"""What pytest reports of a scenario's test, unless somebody has changed it."""

NAMED = 5
"""How many scenarios a problem names."""


class Judged(Record):
    """A record, with what waivers make of it."""

    waiver: str
    """Until when and why it may fail; empty if it did not, or may not."""


@dataclass
class Evidence:
    """What was seen of one suite: of a module that takes the scenarios over, for each parameter of its harness."""

    suite: str
    records: list[tuple[Record, str]] = field(default_factory=list)
    """With what pytest reported of the test."""
    claims: list[dict[str, str]] = field(default_factory=list)
    unwritten: Counter[str] = field(default_factory=Counter)
    """How many scenarios failed for want of each part of the driver."""
    subject: Subject | None = None
    unusable: str = ""
    """Why no scenario could be run."""
    stopped: bool = False
    """Somebody, or ``-x``, ended the run before its end."""


@dataclass(frozen=True)
class Expected:
    """What there is to be seen."""

    scenarios: tuple[str, ...]
    """The ids that were selected, in the order of the report."""
    claims: frozenset[tuple[str, str]] = frozenset()
    """Defect and scenario, of a proof."""
    waivers: Mapping[str, Waiver] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What a run amounts to."""

    outcome: Outcome
    records: tuple[Judged, ...]
    """In the order of the report; each as often as it was run."""
    claims: tuple[dict[str, str], ...]
    problems: tuple[str, ...]
    """Why it is not passed, but for scenarios that failed."""
    warnings: tuple[str, ...]
    totals: dict[str, int]

    @property
    def status(self) -> int:
        """The exit status."""
        return STATUS[self.outcome]

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        counts = ", ".join(f"{self.totals[name]} {name}" for name in OUTCOMES if self.totals[name] or name == "passed")
        return "; ".join([f"{self.outcome.upper()}: {counts}", *self.problems])

    def counts(self) -> dict[str, int]:
        """Add up what scenarios counted: cut points, say."""
        total: Counter[str] = Counter()
        for each in self.records:
            total.update(each["counts"])
        return dict(sorted(total.items()))

    def groups(self) -> dict[str, dict[str, int]]:
        """Count by group what became of the scenarios."""
        counted: dict[str, Counter[str]] = {}
        for each in self.records:
            counted.setdefault(each["group"], Counter())[each["outcome"]] += 1
        return {group: {name: found[name] for name in OUTCOMES} for group, found in counted.items()}


def judge(expected: Expected, seen: Evidence) -> Judgement:
    """Judge a run by what was to be seen, and what was."""
    place = {name: index for index, name in enumerate(expected.scenarios)}
    records = sorted(
        (_waived(each, expected.waivers) for each, _ in seen.records),
        key=lambda each: place.get(each["id"], len(place)),
    )
    totals = Counter(each["outcome"] for each in records)
    gaps = [] if seen.unusable else _gaps(expected, seen)
    failures = [*_expired(expected), *_unproved(seen.claims)]
    outcome: Outcome = "passed"
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


def _waived(record: Record, waivers: Mapping[str, Waiver]) -> Judged:
    waiver = waivers.get(record["id"])
    if waiver is None or waiver.expired or record["outcome"] != "failed":
        return {**record, "waiver": ""}
    return {**record, "outcome": "waived", "waiver": f"until {waiver.expires}: {waiver.reason}"}


def _gaps(expected: Expected, seen: Evidence) -> list[str]:
    """Return what makes a run no verdict: something not run, run twice, or reported otherwise than it was."""
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
    told = [
        ("not run" if not seen.stopped else "not run, for the run was stopped", missing),
        ("run more than once", twice),
        ("run without being selected", strange),
        ("reported otherwise than it ended", changed),
        ("claims not tried", sorted(f"{scenario} finds {defect}" for defect, scenario in unclaimed)),
    ]
    return [f"{len(names)} {what}: {_some(names)}" for what, names in told if names]


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
    """Say that an author's driver was not what was run, where layerstore's own has its scheme."""
    ignored = Registry().ignored(seen.subject["scheme"]) if seen.subject else ""
    return [ignored] if ignored else []


def _warnings(waivers: Mapping[str, Waiver], records: Sequence[Judged]) -> list[str]:
    return [
        f"{each['id']} is waived but {each['outcome']}: remove the waiver"
        for each in records
        if each["id"] in waivers and each["outcome"] in ("passed", "skipped")
    ]


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])

"""``report.json``: everything known of a run. Every other report is drawn from it. Its schema is in docs."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypedDict

from layerstore import CONTRACT_VERSION
from layerstore_conformance.engine.subject import Subject
from layerstore_conformance.verdict.judging import Evidence, Expected, Judgement
from layerstore_conformance.verdict.record import Record

SCHEMA = "layerstore-conformance-report/1"
"""The schema of the document; an incompatible one has another number."""

NOBODY: Subject = {
    "scheme": "",
    "distribution": "",
    "version": "",
    "driver_class": "",
    "url": "",
    "capabilities": {},
    "harness": [],
}
"""The description of the driver if none could be opened."""


@dataclass(frozen=True)
class Run:
    """A run and its judgement."""

    expected: Expected
    seen: Evidence
    judgement: Judgement
    options: Mapping[str, Any]
    began: datetime


class Document(TypedDict):
    """``report.json``."""

    schema: str
    suite: dict[str, str]
    contract: str
    driver: Subject
    environment: dict[str, str]
    started: str
    seconds: float
    seed: int
    profile: str
    only: list[str]
    selected: list[str]
    totals: dict[str, int]
    groups: dict[str, dict[str, int]]
    counts: dict[str, int]
    verdict: dict[str, Any]
    waivers: list[dict[str, str]]
    records: list[Record]
    proof: list[dict[str, str]]


def document(run: Run) -> Document:
    """Make the document of a run."""
    judgement = run.judgement
    return {
        "schema": SCHEMA,
        "suite": suite(),
        "contract": CONTRACT_VERSION,
        "driver": run.seen.subject or NOBODY,
        "environment": system(),
        "started": run.began.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round((datetime.now(UTC) - run.began).total_seconds(), 3),
        "seed": run.options["seed"],
        "profile": run.options["profile"],
        "only": list(run.options["only"]),
        "selected": list(run.expected.scenarios),
        "totals": judgement.totals,
        "groups": judgement.groups(),
        "counts": judgement.counts(),
        "verdict": {
            "outcome": judgement.outcome,
            "sentence": judgement.sentence,
            "problems": list(judgement.problems),
            "warnings": list(judgement.warnings),
        },
        "waivers": [
            {"id": each.id, "reason": each.reason, "expires": each.expires.isoformat()}
            for each in run.expected.waivers.values()
        ],
        "records": list(judgement.records),
        "proof": list(judgement.claims),
    }


def suite() -> dict[str, str]:
    """Return which suite this is."""
    return {"name": "layerstore-conformance", "version": version("layerstore")}


def system() -> dict[str, str]:
    """Return the interpreter and the system it runs on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
    }

"""Go on with a run that was stopped: what its report has is not run again, and is judged with the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from layerstore_conformance.session.items import named, takes

if TYPE_CHECKING:
    import pytest

    from layerstore_conformance.verdict.judging import Evidence
    from layerstore_conformance.verdict.record import Record

COUNTED = {"passed": "passed", "failed": "failed", "skipped": "skipped", "waived": "skipped"}
"""The report of pytest for the test of a scenario with this outcome."""


def read_earlier(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the report of the earlier run; None if there was none.

    Raises:
        DocumentError: it is no report, or one of another run than the options ask for.
    """
    if not options["continue"]:
        return None
    from layerstore import StoreURL
    from layerstore_conformance.reports.document import SCHEMA, suite
    from layerstore_conformance.reports.reading import DocumentError, read_document

    path = Path(options["continue"])
    found = read_document(path, SCHEMA)
    url = str(StoreURL.parse(options["url"])) if options["url"] else found["driver"]["url"]
    wanted = {"suite": suite(), "seed": options["seed"], "profile": options["profile"], "driver's URL": url}
    earlier = {**{name: found[name] for name in ("suite", "seed", "profile")}, "driver's URL": found["driver"]["url"]}
    for name, value in wanted.items():
        if earlier[name] != value and not (name == "driver's URL" and not earlier[name]):
            raise DocumentError(f"{path}: the {name} was {earlier[name]}, and is {value}: run everything again")
    return found


def take_over(found: Mapping[str, Any] | None, seen: Evidence) -> None:
    """Count what the earlier run has seen."""
    if found is None:
        return
    for record in found["records"]:
        counted = COUNTED[record["outcome"]]
        outcome = "failed" if record["outcome"] == "waived" else record["outcome"]  # the waiver is judged once more
        seen.records.append((cast("Record", {**record, "outcome": outcome, "waiver": ""}), counted))
    seen.claims += found["proof"]
    seen.subject = found["driver"] if found["driver"]["scheme"] else None


def leave_out(found: Mapping[str, Any] | None, items: list[pytest.Item]) -> list[pytest.Item]:
    """Remove the tests that the earlier run has done from a list, and return them."""
    if found is None:
        return []
    done = {record["id"] for record in found["records"]}
    done |= {f"{claim['defect']}-{claim['scenario']}" for claim in found["proof"]}
    left_out = [item for item in items if _name(item) in done]
    items[:] = [item for item in items if _name(item) not in done]
    return left_out


def _name(item: pytest.Item) -> str:
    for parameter in ("layerstore_scenario", "layerstore_claim"):
        if takes(item, parameter):
            return named(item.callspec.params[parameter])  # type: ignore[attr-defined]  # of a parametrised test
    return ""

"""The record of a scenario, which reports are made of, and the narration of a failure."""

from __future__ import annotations

import difflib
import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, TypedDict

from layerstore import StoreURL
from layerstore_conformance.engine.clauses import clauses
from layerstore_conformance.engine.defect import defects
from layerstore_conformance.engine.prove import finds
from layerstore_conformance.harness import Harness

if TYPE_CHECKING:
    from layerstore_conformance.engine.run import Result
    from layerstore_conformance.engine.scenario import Scenario

CALLS_TOLD = 12
"""Driver calls in the narration of a failure; the record has more."""


class Record(TypedDict):
    """A scenario and its result, as JSON has it."""

    id: str
    group: str
    title: str
    why: str
    clauses: list[str]
    outcome: str
    reason: str
    seconds: float
    seed: int
    line: str
    trace: list[str]
    notes: list[str]
    counts: dict[str, int]
    """The counts of the scenario: cut points, plans."""
    calls: int
    """The driver calls of the scenario's own process."""
    opens: int
    """The drivers that it opened there."""
    stacks: str
    """Where all threads stood when it was given up; empty if it was not."""
    looks_like: str
    """The planted defect that makes this scenario fail with the most similar message; empty if none does."""
    narration: str
    waiver: str
    """The last day and the reason of its waiver; empty until it is judged, or if it did not fail or has none."""


def record(result: Result, url: str | None, *, seed: int) -> Record:
    """Make the record of a result on the store of a URL."""
    scenario = result.scenario
    alone = result.outcome != "failed" or result.unwritten or result.stacks  # nothing else is like it
    looks_like = "" if alone else resembling(scenario, result.reason)
    made: Record = {
        "id": scenario.id,
        "group": scenario.group,
        "title": scenario.title,
        "why": scenario.why,
        "clauses": list(scenario.clauses),
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 6),
        "seed": seed,
        "line": result.line,
        "trace": list(result.trace),
        "notes": list(result.notes),
        "counts": dict(result.counts),
        "calls": result.calls,
        "opens": result.opens,
        "stacks": result.stacks,
        "looks_like": looks_like,
        "narration": "",
        "waiver": "",
    }
    if result.outcome == "failed":
        made["narration"] = narrate(made, str(StoreURL.parse(url)) if url else None)
    return made


def narrate(made: Record, url: str | None) -> str:
    """Narrate a failure: the scenario, its clauses, why it matters, what happened, and how to repeat it.

    ``url`` is without options, for they may be credentials: the reader has to add them again.
    """
    said = [f"{made['id']}: {made['title']}", ""]
    said += [f"  clause {name}: {clauses()[name]}" for name in made["clauses"]]
    if made["why"]:
        said += ["", f"  why it matters: {made['why']}"]
    said += ["", "  what happened:", *(f"    {line}" for line in made["reason"].splitlines())]
    if made["line"]:
        said += [f"    at {made['line']}"]
    if made["notes"]:
        said += ["  while:", *(f"    {note}" for note in made["notes"][-3:])]
    if made["trace"]:
        said += ["  last driver calls:", *(f"    {call}" for call in made["trace"][-CALLS_TOLD:])]
    if made["stacks"]:
        said += ["", "  where all threads stood:", *(f"    {line}" for line in made["stacks"].splitlines())]
    if made["looks_like"]:
        said += ["", f"  looks like: {made['looks_like']}: {defects()[made['looks_like']].title}"]
    if url is not None:
        command = ["layerstore", "conformance", url, "--only", made["id"], "--seed", str(made["seed"])]
        said += ["", f"  again: {shlex.join(command)}"]
    return "\n".join(said)


def resembling(scenario: Scenario, reason: str) -> str:
    """Return the defect that makes this scenario fail with the message most like this one; empty if none does."""
    likeness = {
        name: difflib.SequenceMatcher(None, _plain(reason), _plain(said)).ratio()
        for name, said in _findings(scenario).items()
    }
    best = max(likeness, key=likeness.__getitem__, default="")
    return best if best and likeness[best] > 0.6 else ""


@cache
def _findings(scenario: Scenario) -> dict[str, str]:
    """Return the message of the scenario for each defect that it finds in the reference driver."""
    reference = Harness("memory://layerstore-conformance-reference")
    found = {name: finds(scenario, defects()[name], reference) for name in scenario.kills if name in defects()}
    return {name: said for name, said in found.items() if said}


def _plain(text: str) -> str:
    """Return a text without the parts that differ from run to run: numbers, ids, digests."""
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", text)

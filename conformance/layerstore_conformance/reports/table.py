"""The summary in the terminal at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from layerstore.unwritten import in_order, named
from layerstore_conformance.verdict.judging import OUTCOMES, Evidence, Judgement

Line = tuple[str, dict[str, bool]]
"""With its colours, as pytest's terminal takes them."""

SLOWEST = 10
"""How many scenarios are named with what they took."""

COLOURS = {"passed": "green", "failed": "red", "incomplete": "red", "error": "red"}


def summary(seen: Evidence, judgement: Judgement, files: list[Path]) -> Iterator[Line]:
    """Yield every line: the groups, the skips with their reasons, the waivers, the proof, and last the verdict."""
    yield from _groups(judgement)
    skips = Counter(each["reason"] for each in judgement.records if each["outcome"] == "skipped")
    yield from ((f"skipped {count}: {reason}", {"yellow": True}) for reason, count in sorted(skips.items()))
    for each in judgement.records:
        if each["outcome"] == "waived":
            yield f"waived {each['id']}: {each['waiver']}", {"yellow": True}
    yield from ((f"warning: {warning}", {"yellow": True}) for warning in judgement.warnings)
    if tried := judgement.counts():
        yield "tried: " + ", ".join(f"{number} {what}" for what, number in tried.items()), {}
    yield from _costs(judgement)
    yield from _proof(judgement)
    yield from _to_do(seen)
    yield from ((f"report: {file}", {}) for file in files if file.suffix == ".html")
    yield f"layerstore conformance: {judgement.sentence}{_by(seen)}", {COLOURS[judgement.outcome]: True, "bold": True}


def _groups(judgement: Judgement) -> Iterator[Line]:
    groups = judgement.groups()
    if not groups:
        return
    width = max(len(name) for name in [*groups, "total"])
    yield f"{'':{width}}" + "".join(f"{name:>9}" for name in OUTCOMES), {}
    for name, counts in groups.items():
        yield f"{name:{width}}" + _numbers(counts), {"red": bool(counts["failed"])}
    yield f"{'total':{width}}" + _numbers(judgement.totals), {"bold": True}


def _costs(judgement: Judgement) -> Iterator[Line]:
    """Yield the driver calls of the run, and the scenarios that took longest, with theirs."""
    records = [each for each in judgement.records if each["outcome"] != "skipped"]
    if not records:
        return
    calls, opens = (sum(each[name] for each in records) for name in ("calls", "opens"))
    yield f"driver calls: {calls}, in {opens} openings of the store; the slowest scenarios:", {}
    for each in sorted(records, key=lambda each: -each["seconds"])[:SLOWEST]:
        yield f"{each['seconds']:8.2f} s {each['calls']:6} calls {each['opens']:4} openings  {each['id']}", {}


def _numbers(counts: dict[str, int]) -> str:
    return "".join(f"{counts[name] or '-':>9}" for name in OUTCOMES)


def _proof(judgement: Judgement) -> Iterator[Line]:
    if not judgement.claims:
        return
    counts = Counter(each["outcome"] for each in judgement.claims)
    found = {each["defect"] for each in judgement.claims if each["outcome"] == "found"}
    tried = {each["defect"] for each in judgement.claims if each["outcome"] != "skipped"}
    total = {each["defect"] for each in judgement.claims}
    untried = f", {len(total - tried)} not tried, because they need more than is declared" if total - tried else ""
    yield f"proof: {len(found)} of {len(tried)} planted defects found, by {counts['found']} scenarios{untried}", {}
    for each in judgement.claims:
        if each["outcome"] == "missed":
            yield f"not found: {each['defect']} ({each['title']}) by {each['scenario']}", {"red": True}


def _to_do(seen: Evidence) -> Iterator[Line]:
    """Yield the parts to write, in the best order."""
    for number, part in enumerate(in_order(seen.unwritten)):
        count, when = seen.unwritten[part], "then" if number else "next"
        depend = "scenario depends" if count == 1 else "scenarios depend"
        yield f"{when}: implement {named(part)}; {count} {depend} on it", {"yellow": True, "bold": not number}


def _by(seen: Evidence) -> str:
    if seen.subject is None:
        return ""
    subject = seen.subject
    version = f" {subject['distribution']} {subject['version']}" if subject["distribution"] else ""
    return f" [{subject['scheme']}{version}]"

"""The changes between two runs: exact counts, and times as ratios to each run's own floor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layerstore_benchmarks.case import Case
from layerstore_benchmarks.document import Document, Results


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed; each as a line to be read."""

    worse: tuple[str, ...]
    """Counts that grew, and cases that are no longer there."""
    better: tuple[str, ...]
    """Counts that shrank, and cases that are new."""
    slower: tuple[str, ...]
    """Cases that take more, against their floor, than was allowed."""
    ratios: tuple[tuple[Case, float], ...]
    """How much of its floor a case takes, after over before."""


def compare(before: Document, after: Document, *, allowed: float | None = None) -> Comparison:
    """Compare two runs; ``allowed`` is how large a ratio of their ratios may be, None for any.

    Seconds of two runs say little, they are of two hours or two machines. What a case takes in units of the floor that
    was measured beside it can be compared.
    """
    old, new = Results(before), Results(after)
    lines = [(grew, f"{case}: {told}") for case in old.cases() for grew, told in _counts(case, old, new)]
    ratios = tuple((case, ratio) for case in old.cases() if (ratio := _ratio(case, old, new)) is not None)
    return Comparison(
        tuple(told for grew, told in lines if grew),
        (*(told for grew, told in lines if not grew), *(f"{case}: new" for case in new.cases() if case not in old)),
        tuple(f"{case}: {ratio:.2f} x" for case, ratio in ratios if allowed is not None and ratio > allowed),
        ratios,
    )


def _counts(case: Case, old: Results, new: Results) -> Iterator[tuple[bool, str]]:
    if case not in new:
        yield True, "no longer measured"
        return
    before, after = _named(old, case), _named(new, case)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, 0), after.get(name, 0)
        if was != now:
            yield now > was, f"{name} {was} -> {now}"


def _named(results: Results, case: Case) -> dict[str, int]:
    told = results.costs(case)
    counted = {"bytes_written": told["bytes_written"], "bytes_read": told["bytes_read"]}
    return {**counted, "bytes_hashed": told["bytes_hashed"], **told["calls"]}


def _ratio(case: Case, old: Results, new: Results) -> float | None:
    if case not in new or case.policy == "no hash":
        return None
    before, after = old.overhead(case), new.overhead(case)
    return None if before is None or after is None else (1 + after) / (1 + before)

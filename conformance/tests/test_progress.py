"""A run whose output is no terminal says how far it is, and at the end what took long."""

from __future__ import annotations

from typing import Any

import pytest

from layerstore_conformance.reports.table import SLOWEST, summary
from layerstore_conformance.session.quiet import Progress
from layerstore_conformance.verdict.judging import Evidence, Expected, judge


class Terminal:
    """Keeps what is written."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lines: list[str] = []

    def write_line(self, line: str, *, flush: bool) -> None:
        """Keep a line, which a reader at the other end of a pipe has at once."""
        assert flush
        self.lines.append(line)


def reported(outcome: str) -> Any:  # noqa: ANN401  (as pytest has it)
    """Make a report of a test."""
    given: dict[str, Any] = {
        "nodeid": "a::b",
        "location": ("a", 0, "b"),
        "keywords": {},
        "longrepr": None,
        "when": "call",
    }
    return pytest.TestReport(**given, outcome=outcome)  # type: ignore[arg-type]  # one of the three


def progress(every: float) -> list[str]:
    """Return the lines of a run of three tests, of which two have ended."""
    terminal = Terminal()
    made = Progress(terminal, every)  # type: ignore[arg-type]  # as much of it as is needed
    made.pytest_xdist_node_collection_finished(["one", "two", "three"])
    for outcome in ("passed", "failed"):
        made.pytest_runtest_logreport(reported(outcome))
    return terminal.lines


def test_a_line_says_how_many_are_done_and_failed() -> None:
    """At the end of a test, if it is time for a line."""
    assert progress(0) == ["1 of 3 done", "2 of 3 done, 1 failed"]


def test_a_line_comes_every_few_seconds_and_not_with_every_test() -> None:
    """A log of CI is for reading."""
    assert progress(3600) == []


def test_the_summary_names_the_slowest_scenarios_with_their_calls() -> None:
    """So an author sees where the time of a remote backend goes."""
    records: list[Any] = [
        {"id": f"a.{number}", "group": "primitives", "outcome": "passed", "counts": {}, "reason": ""}
        | {"seconds": float(number), "calls": number, "opens": 1}
        for number in range(SLOWEST + 2)
    ]
    names = tuple(each["id"] for each in records)
    judgement = judge(Expected(names), Evidence("", [(each, "passed") for each in records]))
    lines = [line for line, _ in summary(Evidence(""), judgement, [])]
    at = lines.index("driver calls: 66, in 12 openings of the store; the slowest scenarios:")
    assert lines[at + 1] == "   11.00 s     11 calls    1 openings  a.11"
    assert [line.split()[-1] for line in lines[at + 1 : at + 1 + SLOWEST]] == [
        f"a.{number}" for number in range(11, 1, -1)
    ]

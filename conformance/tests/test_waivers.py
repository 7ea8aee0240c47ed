"""Waivers: what may fail may fail for a while, for a reason, and is never called passed."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from layerstore_conformance.verdict import waivers
from layerstore_conformance.verdict.judging import Evidence, Expected, Judgement, judge
from layerstore_conformance.verdict.record import Record
from layerstore_conformance.verdict.waivers import Waiver, WaiverError, check_known, read_waivers

NOW = datetime(2126, 11, 28, 23, 59, 59, tzinfo=UTC)
TODAY = NOW.date()
WAIVER = '[[waiver]]\nid = "a.b"\nreason = "not yet"\nexpires = 2126-12-31\n'


class LastSecond(datetime):
    """A clock that stands still, a second before midnight."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Return the same moment each time."""
        return NOW.astimezone(tz)


def record(outcome: str) -> Record:
    """A record of the one scenario."""
    made: Record = {
        "id": "a.b",
        "group": "primitives",
        "title": "A is b.",
        "why": "",
        "clauses": ["R1"],
        "outcome": outcome,
        "reason": "it is c",
        "seconds": 0.5,
        "seed": 0,
        "line": "",
        "trace": [],
        "notes": [],
        "counts": {},
        "calls": 0,
        "opens": 0,
        "stacks": "",
        "looks_like": "",
        "narration": "a.b: it is c",
        "waiver": "",
    }
    return made


def judged(outcome: str, reported: str, *, days: int) -> Judgement:
    """Judge a run of one scenario, waived until so many days from today."""
    expected = Expected(("a.b",), waivers={"a.b": Waiver("a.b", "not yet", TODAY + timedelta(days))})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(waivers, "datetime", LastSecond)
        return judge(expected, Evidence("", [(record(outcome), reported)]))


def test_a_waived_scenario_that_fails_is_waived() -> None:
    """It is counted apart, with the reason, and the run is passed; the last day counts."""
    judgement = judged("failed", "skipped", days=0)
    assert (judgement.outcome, judgement.totals["waived"], judgement.totals["passed"]) == ("passed", 1, 0)
    assert judgement.records[0]["waiver"] == f"until {TODAY}: not yet"


@pytest.mark.parametrize("outcome", ["passed", "skipped"])
def test_a_waiver_that_is_not_needed_is_told(outcome: str) -> None:
    """A waived scenario that passes is passed, and the waiver is to go."""
    judgement = judged(outcome, outcome, days=1)
    assert (judgement.outcome, judgement.totals[outcome]) == ("passed", 1)
    assert judgement.warnings == (f"a.b is waived but {outcome}: remove the waiver",)


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_a_waiver_that_expired_fails(outcome: str) -> None:
    """After its last day a waiver is a failure of its own, whether its scenario passes or not."""
    judgement = judged(outcome, outcome, days=-1)
    assert (judgement.outcome, judgement.totals["waived"]) == ("failed", 0)
    assert judgement.problems == (f"the waiver of a.b expired on {TODAY - timedelta(1)}",)


def test_a_waiver_hides_no_gap() -> None:
    """A waived scenario that was not run is missing like any other."""
    expected = Expected(("a.b",), waivers={"a.b": Waiver("a.b", "not yet", TODAY)})
    assert judge(expected, Evidence("")).outcome == "incomplete"


def test_waivers_are_read(tmp_path: Path) -> None:
    """The file is TOML: a table for each."""
    (tmp_path / "waivers.toml").write_text(WAIVER)
    waiver = read_waivers(tmp_path / "waivers.toml")["a.b"]
    assert (waiver.reason, waiver.expires.isoformat(), waiver.expired) == ("not yet", "2126-12-31", False)


BAD = {
    "no TOML": "waiver: a.b",
    "empty": "",
    "another table": WAIVER + "[other]\n",
    "no table of tables": "waiver = 1",
    "a field missing": WAIVER.replace('reason = "not yet"\n', ""),
    "a field too many": WAIVER + 'by = "me"\n',
    "no reason": WAIVER.replace("not yet", ""),
    "an expiry that is text": WAIVER.replace("2126-12-31", '"2126-12-31"'),
    "an expiry with a time": WAIVER.replace("2126-12-31", "2126-12-31T00:00:00Z"),
    "twice": WAIVER + WAIVER,
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_waivers_out_of_order(tmp_path: Path, text: str) -> None:
    """A file that may mean something else than its author thinks is refused, and named."""
    (tmp_path / "waivers.toml").write_text(text)
    with pytest.raises(WaiverError, match=r"waivers\.toml: "):
        read_waivers(tmp_path / "waivers.toml")


def test_a_waiver_of_no_scenario() -> None:
    """A misspelt id waives nothing: that is a mistake, not a comment."""
    with pytest.raises(WaiverError, match=r"waivers of unknown scenarios: a\.c"):
        check_known(["a.b", "a.c"], ["a.b"])

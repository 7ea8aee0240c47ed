"""The reports: what a machine reads is valid against its schema, and a page stays one, whatever a driver is called."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import html5lib
import jsonschema
import pytest
import xmlschema

from layerstore import open_driver
from layerstore_conformance.engine.subject import Subject, examine
from layerstore_conformance.harness import Harness
from layerstore_conformance.reports import Document, Run, document, write_reports
from layerstore_conformance.verdict.judging import Evidence, Expected, judge
from layerstore_conformance.verdict.record import Record
from layerstore_conformance.verdict.waivers import Waiver

SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"
XSD = Path(__file__).with_name("junit.xsd")
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&]]>\x00|`*{{ 1 }}"
)
OPTIONS = {"seed": 7, "profile": "default", "only": []}
TODAY = datetime.now(UTC).date()


def record(name: str, outcome: str, text: str) -> Record:
    """A record of a scenario."""
    made: Record = {
        "id": f"{'putting' if name < 'n' else 'resuming'}.{name}",
        "group": "primitives" if name < "n" else "resume",
        "title": f"What is {name} is `{name}`{text}.",
        "why": text,
        "clauses": ["P1", "R4"],
        "outcome": outcome,
        "reason": f"it is not{text}\nsecond line" if outcome != "passed" else "",
        "seconds": 0.25,
        "seed": 7,
        "line": f"putting.py:1: assert {text}" if outcome == "failed" else "",
        "trace": [f"put {text} 5", "stat key"],
        "notes": [text],
        "counts": {"cut points": 3},
        "calls": 5,
        "opens": 2,
        "stacks": "",
        "looks_like": text if outcome == "failed" else "",
        "narration": f"narrated {text}" if outcome == "failed" else "",
        "waiver": "",
    }
    return made


def subject(text: str) -> Subject:
    """A driver."""
    return {
        "scheme": f"mystore{text}",
        "distribution": f"my-store{text}",
        "version": f"1.2{text}",
        "driver_class": f"my_store.Driver{text}",
        "url": f"mystore://bucket{text}",
        "capabilities": {"nested_keys": True, "shared": False, "durable": False},
        "harness": ["url"],
    }


def run(text: str = "", *, missing: tuple[str, ...] = (), proved: bool = True) -> Run:
    """A run of four scenarios, one of each outcome, and whatever is missing."""
    seen = Evidence("", subject=subject(text))
    for name, outcome in [("atomic", "passed"), ("bad", "failed"), ("skipped", "skipped"), ("waived", "failed")]:
        reported = "skipped" if name == "waived" else outcome
        seen.records.append((record(name, outcome, text), reported))
    if proved:
        told = {"defect": "drops-tail", "title": f"Drops the tail{text}.", "scenario": "putting.atomic"}
        seen.claims.append({**told, "outcome": "found", "said": f"it is short{text}"})
    waived = Waiver("resuming.waived", f"later{text}", TODAY + timedelta(1))
    expected = Expected((*(made["id"] for made, _ in seen.records), *missing), waivers={waived.id: waived})
    return Run(expected, seen, judge(expected, seen), OPTIONS, datetime.now(UTC))


RUNS = {
    "ordinary": run(),
    "hostile": run(HOSTILE),
    "incomplete": run(missing=("putting.gone",)),
    "without a driver": Run(Expected(()), Evidence(""), judge(Expected(()), Evidence("")), OPTIONS, datetime.now(UTC)),
}
each_run = pytest.mark.parametrize("made", RUNS.values(), ids=RUNS)


def written(folder: Path, made: Run, name: str) -> str:
    """Write the reports of a run and read one."""
    write_reports(made, folder)
    return (folder / name).read_text(encoding="utf-8")


@each_run
def test_the_document_is_valid_against_its_schema(tmp_path: Path, made: Run) -> None:
    """``report.json`` is what docs/report.schema.json says."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(written(tmp_path, made, "report.json")), schema)


def test_the_document_tells_what_the_schema_requires() -> None:
    """Nothing is in the document that the schema does not know, and nothing in the schema that is not there."""
    assert set(Document.__annotations__) == set(json.loads(SCHEMA.read_text())["required"])


@each_run
def test_the_junit_report_is_valid_against_the_common_schema(tmp_path: Path, made: Run) -> None:
    """``junit.xml`` is what Ant's and Jenkins' schemas both take."""
    written(tmp_path, made, "junit.xml")
    xmlschema.XMLSchema(str(XSD)).validate(str(tmp_path / "junit.xml"))


def cases(text: str) -> dict[str, list[tuple[str, str]]]:
    """Return what a CI viewer shows of every case."""
    root = ET.fromstring(text)
    return {
        case.attrib["name"]: [(end.tag, end.attrib["message"].partition("\n")[0]) for end in case]
        for case in root.iter("testcase")
    }


def test_a_ci_viewer_sees_every_outcome(tmp_path: Path) -> None:
    """A failure is a failure element; a skip and a waiver are skipped elements, with the reason."""
    assert cases(written(tmp_path, run(), "junit.xml")) == {
        "putting.atomic": [],
        "putting.bad": [("failure", "it is not")],
        "resuming.skipped": [("skipped", "it is not")],
        "resuming.waived": [("skipped", f"waived until {TODAY + timedelta(1)}: later")],
    }


def test_a_ci_viewer_sees_that_a_run_is_incomplete(tmp_path: Path) -> None:
    """A scenario that never ran is an error, and not merely missing from the report."""
    found = cases(written(tmp_path, run(missing=("putting.gone",)), "junit.xml"))
    assert found["the run is complete"] == [("error", "1 not run: putting.gone")]


def test_the_counts_of_the_junit_report_are_those_of_its_cases(tmp_path: Path) -> None:
    """A viewer that trusts the attributes shows the same as one that counts."""
    suites = list(ET.fromstring(written(tmp_path, run(), "junit.xml")))
    assert [suite.attrib["name"] for suite in suites] == ["primitives", "resume"]
    for suite in suites:
        counted = [len(suite.findall(path)) for path in ("testcase", "testcase/failure", "testcase/skipped")]
        assert counted == [int(suite.attrib[name]) for name in ("tests", "failures", "skipped")]


@each_run
def test_the_page_is_html(tmp_path: Path, made: Run) -> None:
    """A strict parser has nothing to object to."""
    parser = html5lib.HTMLParser(strict=True)
    parser.parse(written(tmp_path, made, "report.html"))


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    """No address is loaded; the one that is there names the language of a drawing."""
    text = written(tmp_path, run(), "report.html")
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"(?:src|href)\s*=\s*[\"'](?!#|data:)", text) == []
    assert "@import" not in text


@pytest.mark.parametrize("name", ["report.html", "badge.svg"])
def test_hostile_names_are_text(tmp_path: Path, name: str) -> None:
    """No text of a driver, an error or a waiver becomes an element."""
    tree = html5lib.parse(written(tmp_path, run(HOSTILE), name), namespaceHTMLElements=False)
    assert len(tree.findall(".//script")) == (name == "report.html")
    assert tree.findall(".//img") == []


def test_hostile_names_break_no_table(tmp_path: Path) -> None:
    """Every row of the matrix has as many columns as its head."""
    rows = [line for line in written(tmp_path, run(HOSTILE), "matrix.md").splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4, 6}


def test_the_page_tells_the_clause_that_was_broken(tmp_path: Path) -> None:
    """A failure quotes the contract."""
    tree = html5lib.parse(written(tmp_path, run(), "report.html"), namespaceHTMLElements=False)
    (failure,) = [each for each in tree.iter("article") if each.attrib["class"] == "failure"]
    assert "put must store the bytes whole" in " ".join("".join(failure.itertext()).split())


def test_the_matrix_has_every_scenario(tmp_path: Path) -> None:
    """A skip and a waiver are named what they are."""
    text = written(tmp_path, run(), "matrix.md")
    assert [text.count(f"`{name}`") for name in ("putting.atomic", "resuming.waived")] == [1, 1]
    assert "⚠️ waived: until" in text


def test_the_badge_says_what_it_is_a_badge_of(tmp_path: Path) -> None:
    """Suite, driver and environment are in it, and the skips are not counted as passes."""
    text = written(tmp_path, run(), "badge.svg")
    made = document(run())
    for told in (made["suite"]["version"], "my-store 1.2", made["environment"]["python"], "failed 1/4"):
        assert told in text


def test_options_of_the_url_are_in_no_report() -> None:
    """They may be credentials: what is known of the store's address ends before them."""
    harness = Harness(factory=lambda: open_driver("memory://options"))
    harness.url = "mystore://bucket/path?sig=secret"
    assert examine(harness)["url"] == "mystore://bucket/path"


def test_a_driver_of_this_distribution_is_known_as_such() -> None:
    """The driver's distribution is found among the installed ones."""
    assert examine(Harness("memory://whose"))["distribution"] == "layerstore"

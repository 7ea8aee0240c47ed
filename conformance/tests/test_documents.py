"""The pages made of the suite: they are what the suite is now, and leave no behaviour unaccounted for."""

import re
from pathlib import Path

import pytest

from layerstore_conformance.documents.pages import COUNTING, PAGES, counted, write
from layerstore_conformance.documents.rows import BY_CONSTRUCTION, LEFT_OUT, rows
from layerstore_conformance.engine.scenario import scenarios

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_suite_is_now(name: str, tmp_path: Path) -> None:
    """A change of the suite comes with its pages: ``python -m layerstore_conformance.documents docs``."""
    write(tmp_path)
    assert (tmp_path / name).read_text() == (DOCS / name).read_text()


def test_every_behaviour_is_covered_or_left_out_for_a_reason() -> None:
    """No row of the table is forgotten, and none is both covered and left out."""
    covered = {number for each in scenarios() for number in each.rows}
    assert covered <= rows().keys()
    assert sorted(rows().keys() - covered - LEFT_OUT.keys() - BY_CONSTRUCTION.keys()) == []
    assert sorted(covered & LEFT_OUT.keys()) == []


def test_a_scenario_is_found_in_the_pages() -> None:
    """Every scenario is listed once."""
    listed = (DOCS / "scenarios.md").read_text()
    assert [each.id for each in scenarios() if listed.count(f"| `{each.id}` |") != 1] == []


@pytest.mark.parametrize("name", COUNTING)
def test_counts_in_running_text_are_those_of_now(name: str) -> None:
    """``python -m layerstore_conformance.documents docs`` rewrites them."""
    text = (DOCS / name).read_text(encoding="utf-8")
    assert re.search(r"\bover \d+ (scenarios|planted defects)|PASSED: \d+ passed", text)
    assert counted(text) == text


def test_an_old_count_is_replaced_where_the_pages_are_written(tmp_path: Path) -> None:
    """Another number that follows the word stays as it is."""
    page, now = tmp_path / "conformance.md", len(scenarios()) // 50 * 50
    page.write_text("over 1 scenarios, over 2 hours")
    write(tmp_path)
    assert page.read_text() == f"over {now} scenarios, over 2 hours"


def test_the_runs_that_pages_show_have_the_verdict_of_now() -> None:
    """A verdict counts as many scenarios as its command runs, and skips, on the memory driver."""
    text = (DOCS / "ci.md").read_text(encoding="utf-8")
    assert len(re.findall(r"PASSED: \d+ passed", counted(text))) == 2
    shown = "layerstore conformance memory://x --only moving\n```\n\n```text\nlayerstore conformance: PASSED: "
    assert counted(f"{shown}1 passed, 2 skipped") != f"{shown}1 passed, 2 skipped"

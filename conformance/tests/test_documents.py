"""The pages made of the suite: they are what the suite is now, and leave no behaviour unaccounted for."""

from pathlib import Path

import pytest

from layerstore_conformance.documents.pages import PAGES, write
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

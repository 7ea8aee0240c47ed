"""The matrix of drivers that README shows is drawn of the reports that lie in docs, and those are whole."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "docs" / "reports"

pytestmark = pytest.mark.skipif(not REPORTS.exists(), reason="the tests run without their repository")


@pytest.fixture(scope="module")
def reports() -> ModuleType:
    """Load the script that makes them."""
    found = importlib.util.spec_from_file_location("reports", ROOT / "benchmarks" / "beside" / "reports.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_matrix_is_what_the_reports_say(reports: ModuleType) -> None:
    """Neither a figure nor a driver is in README that is not in a report, or the other way round."""
    page = reports.README.read_text(encoding="utf-8")
    assert page.partition(reports.BEGIN)[2].partition(reports.END)[0].strip() == reports.matrix()
    assert {path.name for path in REPORTS.iterdir()} == set(reports.DRIVERS)


def test_every_driver_passes(reports: ModuleType) -> None:
    """No driver in the tree fails a scenario; only of S3 some are waived, which SeaweedFS cannot do."""
    for name in reports.DRIVERS:
        totals = json.loads((REPORTS / name / "report.json").read_text(encoding="utf-8"))["totals"]
        assert totals["failed"] == 0, name
        assert totals["waived"] == 0 or name == "s3", name

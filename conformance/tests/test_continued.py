"""A run that was stopped is gone on with, and judged whole; slow and missing stores are named by options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.test_verdict import bare, run_suite, said
else:
    from test_verdict import bare, run_suite, said

pytest_plugins = ["pytester"]


def ids(folder: Path) -> dict[str, str]:
    """Return the outcomes in a report."""
    return {each["id"]: each["outcome"] for each in json.loads((folder / "report.json").read_text())["records"]}


@pytest.mark.parametrize("processes", ["-n0", "-n1"])
def test_a_run_goes_on_where_an_earlier_one_was_stopped(pytester: pytest.Pytester, processes: str) -> None:
    """Scenarios that the report has are not run again; the verdict and the new report have all of them."""
    names = ("bad", "one", "two")
    first = run_suite(pytester, "--layerstore-report=first", "-x", scenarios=names)
    assert first.ret != 0
    earlier = ids(pytester.path / "first")
    assert earlier == {"fake.bad": "failed"}
    again = run_suite(
        pytester, "--layerstore-continue=first/report.json", "--layerstore-report=second", processes, scenarios=names
    )
    assert (again.ret, said(again)) == (1, "FAILED: 2 passed, 1 failed [memory layerstore 0.1.0]")
    again.assert_outcomes(passed=2)
    assert ids(pytester.path / "second") == {"fake.bad": "failed", "fake.one": "passed", "fake.two": "passed"}


def test_a_run_of_which_nothing_is_left_is_judged_all_the_same(pytester: pytest.Pytester) -> None:
    """No test is run, and that is no lack of tests."""
    assert run_suite(pytester, "--layerstore-report=first").ret == 0
    again = run_suite(pytester, "--layerstore-continue=first/report.json")
    assert (again.ret, said(again)) == (0, "PASSED: 2 passed [memory layerstore 0.1.0]")


@pytest.mark.parametrize(
    "changed", ["--layerstore-seed=3", "--layerstore-profile=quick", "--layerstore-url=memory://b"]
)
def test_another_run_is_not_gone_on_with(pytester: pytest.Pytester, changed: str) -> None:
    """A report of another seed, profile or store is refused before anything is run."""
    run_suite(pytester, "--layerstore-report=first")
    again = run_suite(pytester, "--layerstore-continue=first/report.json", changed)
    assert again.ret == 7
    assert "run everything again" in again.stderr.str()


def test_a_scale_must_be_above_zero(pytester: pytest.Pytester) -> None:
    """Nothing is run with another."""
    result = run_suite(pytester, "--layerstore-scale=0")
    assert (result.ret, "the scale must be above 0, and at most 1, not 0" in result.stderr.str()) == (7, True)


def test_the_options_reach_the_harness(pytester: pytest.Pytester) -> None:
    """The URL of a missing store, and the scale."""
    pytester.makepyfile(
        """
        def test_theirs(layerstore_harness):
            assert (layerstore_harness.missing, layerstore_harness.scale) == ("memory://none", 0.25)
        """
    )
    wanted = ("--layerstore-url=memory://verdict", "--layerstore-missing=memory://none", "--layerstore-scale=0.25")
    bare(pytester, *wanted).assert_outcomes(passed=1)

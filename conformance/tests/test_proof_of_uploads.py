"""The scenarios about uploads pass on drivers that work, and find every planted defect that they say they find."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerstore_conformance.defect import defects
from layerstore_conformance.harness import Harness
from layerstore_conformance.prove import finds
from layerstore_conformance.run import run
from layerstore_conformance.scenario import Scenario, scenarios

MODULES = ("uploading", "resuming", "verifying", "cancelling", "races", "hostile", "leaks", "cost")

ABOUT_UPLOADS = tuple(each for each in scenarios() if each.id.partition(".")[0] in MODULES)


@pytest.fixture(params=ABOUT_UPLOADS, ids=lambda each: each.id)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Return every scenario of ours in turn."""
    found: Scenario = request.param
    return found


def in_memory(tmp_path: Path) -> Harness:
    """Make a store of the test's own in memory."""
    return Harness(f"memory://{tmp_path.parent.name}-{tmp_path.name}")


def on_disk(tmp_path: Path) -> Harness:
    """Make a store of the test's own on disk."""
    return Harness(f"local://{tmp_path}")


def test_it_passes_in_memory(scenario: Scenario, tmp_path: Path) -> None:
    """It passes on the reference driver, or needs what only a shared or durable one has."""
    result = run(scenario, in_memory(tmp_path))
    assert result.outcome == ("skipped" if {"shared", "durable"} & set(scenario.needs) else "passed"), result.reason


def test_it_passes_on_disk(scenario: Scenario, tmp_path: Path) -> None:
    """It passes on the local driver, and leaves nothing there."""
    result = run(scenario, on_disk(tmp_path))
    assert result.outcome == "passed", (result.reason, result.line, result.notes[-1:])
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and ".layerstore" not in path.parts]


def test_it_finds_what_it_says(scenario: Scenario, tmp_path: Path) -> None:
    """It fails with each planted defect that it says it finds, and it says at least one."""
    harness = on_disk(tmp_path) if {"shared", "durable"} & set(scenario.needs) else in_memory(tmp_path)
    assert scenario.kills, "it finds nothing"
    missed = [name for name in scenario.kills if not finds(scenario, defects()[name], harness)]
    assert not missed, "it passes although these are planted"

"""A storm on the local driver, and its files hashed by another program."""

import shutil
import subprocess
from pathlib import Path

import pytest

from layerstore_conformance.storm.command import lines
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.storm import Storm

pytestmark = pytest.mark.once


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is the other program")
def test_a_store_comes_through_a_storm(tmp_path: Path) -> None:
    """Whatever befalls four processes, each layer is what its digest says, and each acknowledged finish is there."""
    logs = tmp_path / "logs"
    logs.mkdir()
    storm = Storm(Plan(f"local:{tmp_path}/store", "storm", logs, operations=1200))
    storm.run()
    assert storm.violations == [], "\n".join(lines(storm))
    blobs = sorted((tmp_path / "store/storm").glob("docker/registry/v2/blobs/sha256/*/*/data"))
    assert len(blobs) == len({wanted for _, wanted in storm.layers}) > 0
    told = subprocess.run(["sha256sum", *blobs], check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in told.splitlines()] == [blob.parent.name for blob in blobs]

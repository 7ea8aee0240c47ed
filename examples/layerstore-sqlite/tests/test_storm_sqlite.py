"""A storm on one file: four processes that are killed, stopped and interrupted."""

from pathlib import Path

from layerstore_conformance.storm.command import lines
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.storm import Storm


def test_a_file_comes_through_a_storm(tmp_path: Path) -> None:
    """Whatever befalls the processes, each layer is what its digest says, and each acknowledged finish is there."""
    logs = tmp_path / "logs"
    logs.mkdir()
    # A process that is stopped in a transaction keeps the file locked: with a grace of 2 s, none is for long.
    storm = Storm(Plan(f"sqlite://{tmp_path}/store.db", "storm", logs, operations=800, grace=2))
    storm.run()
    assert storm.violations == [], "\n".join(lines(storm))
    assert storm.layers

"""Which store the command line works on when nobody says."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from layerstore.cli.program import program

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without settings."""
    monkeypatch.delenv("LAYERSTORE_URL", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("layerstore.cli.invocation.sys.platform", "linux")
    return tmp_path


def stored_below(path: Path) -> bool:
    """Upload an empty layer to the default store, and tell whether it is there."""
    result = CliRunner().invoke(program, ["upload", "-", "--repo", "a"])
    assert (result.exit_code, result.stdout) == (0, EMPTY + "\n")
    assert "--store" not in result.stderr
    return (path / "layerstore" / "docker" / "registry" / "v2" / "blobs").is_dir()


def test_the_default_store_is_in_the_home_directory(home: Path) -> None:
    """Without settings it is where the XDG specification puts data."""
    assert stored_below(home / ".local" / "share")


def test_the_default_store_is_where_xdg_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory's name may have any characters."""
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "a b#c?d=%41&ü"))
    assert stored_below(home / "a b#c?d=%41&ü")


def test_a_relative_data_home_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the XDG specification has it."""
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert stored_below(home / ".local" / "share")


def test_the_default_store_on_macos(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it is where macOS has applications' data."""
    monkeypatch.setattr("layerstore.cli.invocation.sys.platform", "darwin")
    assert stored_below(home / "Library" / "Application Support")


@pytest.mark.parametrize("command", [("layers",), ("uploads", "list")])
def test_the_default_store_is_empty_before_its_first_use(command: tuple[str, ...]) -> None:
    """The first listing is empty, and no error."""
    result = CliRunner().invoke(program, command)
    assert (result.exit_code, result.output) == (0, "")


def test_the_environment_names_the_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``$LAYERSTORE_URL`` is used instead, if it is not empty."""
    monkeypatch.setenv("LAYERSTORE_URL", "")
    assert stored_below(home / ".local" / "share")
    monkeypatch.setenv("LAYERSTORE_URL", "nowhere:")
    assert "no driver for scheme 'nowhere'" in CliRunner().invoke(program, ["layers"]).stderr

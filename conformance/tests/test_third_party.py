"""A third party, who has the wheel and nothing else: a driver of theirs passes, and is caught when it is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from layerstore_conformance.harness import OFFERS

ROOT = Path(__file__).parents[2]
THEIRS = Path(__file__).with_name("dictstore")

pytestmark = [pytest.mark.once, pytest.mark.xdist_group("third-party")]


def succeed(*words: object, folder: Path) -> str:
    """Run a program that has to succeed, away from this tree, and return what it says."""
    ours = ("COVERAGE", "PYTEST", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    program = [str(word) for word in words]
    done = subprocess.run(program, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, make a virtualenv, install the one into the other; return its interpreter."""
    folder = tmp_path_factory.mktemp("third-party")
    built = Path(os.environ.get("TOX_PACKAGE", ""))  # of the tox environment that tests the wheel
    if built.suffix != ".whl" or "editable" in built.name:
        succeed(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT, folder=folder)
        (built,) = folder.glob("layerstore-*.whl")
    succeed(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    interpreter = folder / "venv" / "bin" / "python"
    succeed(interpreter, "-m", "pip", "install", f"{built}[conformance]", folder=folder)
    return interpreter


def install(python: Path, folder: Path, right: str = "", wrong: str = "") -> None:
    """Install their distribution, with a line of it changed."""
    package = folder / "dictstore"
    shutil.copytree(THEIRS, package, ignore=shutil.ignore_patterns("__pycache__"))
    source = (package / "dictstore.py").read_text()
    assert right in source, "the line to be changed is there"
    (package / "dictstore.py").write_text(source.replace(right, wrong))
    succeed(python, "-m", "pip", "install", "--force-reinstall", "--no-deps", package, folder=folder)


def conformance(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the suite on their driver, as they do."""
    program = [str(python.with_name("layerstore")), "conformance", "dict://theirs", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def test_a_driver_that_is_right_passes(python: Path, tmp_path: Path) -> None:
    """It passes, by its own name and version, with nothing skipped but what it declares not to have."""
    install(python, tmp_path)
    done = conformance(python, tmp_path, "--report", "reports")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith("[dict dictstore 4.2]")
    told = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert (told["driver"]["distribution"], told["driver"]["version"]) == ("dictstore", "4.2")
    skipped = {each["reason"] for each in told["records"] if each["outcome"] == "skipped"}
    known = ("is declared", "is not declared", "GiB of zeros", *(f"the harness has no {name}" for name in OFFERS))
    assert all(reason.endswith(known) for reason in skipped)


def test_pytest_runs_the_suite_by_its_package(python: Path, tmp_path: Path) -> None:
    """``pytest --pyargs layerstore_conformance`` in several processes gives a verdict, too."""
    install(python, tmp_path)
    words = ("--pyargs", "layerstore_conformance", "--layerstore-url=dict://theirs", "-n2", "--layerstore-only=cost")
    assert "layerstore conformance: PASSED: " in succeed(python, "-m", "pytest", *words, folder=tmp_path)


def test_a_defect_fails_and_the_clause_is_named(python: Path, tmp_path: Path) -> None:
    """A delete that takes what begins alike fails with a story: clause, what was found, how to see it again."""
    install(python, tmp_path, 'each.startswith(f"{key}/")', "each.startswith(key)")
    done = conformance(python, tmp_path, "--only", "deleting")
    assert done.returncode == 1
    assert "  clause D1: `delete(key)` must delete the object and everything below `key/`" in done.stdout
    assert "looks like: delete-goes-by-letters" in done.stdout
    assert "again: layerstore conformance dict://theirs --only deleting." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("layerstore conformance: FAILED: ")

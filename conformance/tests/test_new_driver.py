"""``layerstore new-driver``: a distribution that is complete but for the driver, and runs at once."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from layerstore.unwritten import PARTS
from layerstore_conformance.engine.clauses import clauses
from layerstore_conformance.scaffold import distribution
from layerstore_conformance.scaffold.command import module_of, new_driver

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"


def made(folder: Path, name: str = "crate-2") -> Path:
    """Write a distribution into a new folder."""
    target = folder / "made"
    distribution.write(name, module_of(name), target)
    return target


def asked(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(new_driver, arguments)


def test_the_command_says_where_and_what_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints the path and two commands to type, and everything is in place."""
    monkeypatch.chdir(tmp_path)
    result = asked("crate-2")
    assert (result.exit_code, len(result.output.splitlines())) == (0, 3)
    assert result.output.startswith(
        "layerstore-crate-2: a driver for crate-2: URLs, to be written in layerstore_crate_2.py"
    )
    written = [path for path in Path("layerstore-crate-2").rglob("*") if path.is_file()]
    assert len(written) == len(distribution.FILES)


WRONG = ["", "Crate", "2crate", "crate_2", "crate-", "-crate", "cr--ate", "crate+x", "a b", "../x", "crate\n"]


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    """It has to be a URL's scheme, and the end of a distribution's name; nothing is written."""
    result = asked("--dir", str(tmp_path / "new"), "--", name)
    assert (result.exit_code, "lower-case letters" in result.output) == (2, True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "whose"), [("memory", "belongs to layerstore"), ("conformance", "a module layerstore_conf")]
)
def test_a_name_of_somebody_elses_is_refused(tmp_path: Path, name: str, whose: str) -> None:
    """A scheme that is claimed would be in conflict or ignored, and a module of the name would hide another."""
    result = asked(name, "--dir", str(tmp_path / "new"))
    assert (result.exit_code, whose in " ".join(result.output.split())) == (2, True)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A directory that holds something is refused and left alone, and so is a file; an empty directory is used."""
    (tmp_path / "there").write_text("mine")
    for target in (tmp_path, tmp_path / "there"):
        result = asked("crate", "--dir", str(target))
        assert (result.exit_code, "exists and is not an empty directory" in result.output) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    (tmp_path / "there").unlink()
    assert asked("crate", "--dir", str(tmp_path)).exit_code == 0


def test_who_lacks_the_extra_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The templates need jinja2, which core does not bring."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = asked("crate", "--dir", str(tmp_path))
    assert (result.exit_code, "pip install 'layerstore[conformance]'" in result.output) == (7, True)


def test_every_part_is_there_and_none_is_written(tmp_path: Path) -> None:
    """The driver's methods, and those of its reader and writer, raise NotImplementedError and nothing else."""
    tree = ast.parse((made(tmp_path) / "layerstore_crate_2.py").read_text())
    methods = {
        each.name: ast.unparse(each.body[-1])
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.FunctionDef)
    }
    assert methods == dict.fromkeys(PARTS.keys() - {"close"}, "raise NotImplementedError")


@pytest.mark.skipif(not CONTRACT.exists(), reason="the tests run without their repository")
def test_every_clause_is_quoted_that_a_driver_keeps(tmp_path: Path) -> None:
    """None is left out but those that the front keeps, and none is cut short."""
    module = " ".join((made(tmp_path) / "layerstore_crate_2.py").read_text().split())
    page = CONTRACT.read_text(encoding="utf-8")
    found = re.findall(r"^- \*\*([A-Z]\d+)(.*?)(?=^- |^#|\Z)", page, re.MULTILINE | re.DOTALL)
    fronts = {name for name, text in found if text.startswith(" (front)") or text.rstrip().endswith("**(front)**")}
    missing = [name for name, text in clauses().items() if f"{name}: {text}" not in module]
    assert set(missing) == fronts - {"K2"}  # the names that it leaves to a driver are not to be listed


def test_the_metadata_claim_the_scheme(tmp_path: Path) -> None:
    """The entry point is called as the scheme is, and names the module."""
    project = tomllib.loads((made(tmp_path) / "pyproject.toml").read_text())
    assert project["project"]["name"] == "layerstore-crate-2"
    assert project["project"]["entry-points"]["layerstore.drivers"] == {"crate-2": "layerstore_crate_2"}


def test_the_authors_tests_run_the_suite(tmp_path: Path) -> None:
    """``pytest`` in the directory runs the author's module, which says what to write first."""
    folder = made(tmp_path)
    info = folder / "layerstore_crate_2-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: layerstore-crate-2\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[layerstore.drivers]\ncrate-2 = layerstore_crate_2\n")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
    )
    assert "next: implement open (O2 E2); every scenario depends on it" in done.stdout
    assert done.returncode == 7

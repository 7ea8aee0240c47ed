"""docs/tutorial.md is done as it says, command by command, in a virtualenv of its own and without a network."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"

pytestmark = pytest.mark.skipif(not TUTORIAL.exists(), reason="the tests run without their repository")


class Reader:
    """Somebody who does what the tutorial says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        self.status = 0
        self.path = folder / ".venv" / "bin"
        self._have_what_would_be_downloaded(folder / ".venv")

    def _have_what_would_be_downloaded(self, venv: Path) -> None:
        """Lend the virtualenv that the tutorial makes this one's packages, so that pip finds all it wants there."""
        site = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        site.mkdir(parents=True)
        lent = sysconfig.get_path("purelib")
        (site / "lent.pth").write_text(f"import site; site.addsitedir({lent!r})\n")
        self.path.mkdir()
        for command in ("layerstore", "pip"):  # venv makes no pip where one is lent: the lender's would install there
            (self.path / command).write_text(f'#!/bin/sh\nexec python -m {command} "$@"\n')
            (self.path / command).chmod(0o755)

    def sh(self, block: str) -> None:
        """Type some commands, and stay in the directory that they end in."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST", "PIP"))
        }
        path = os.pathsep.join([str(self.path), str(Path(sys.executable).parent), os.environ["PATH"]])
        offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        there = self.path / "there"
        done = subprocess.run(
            ["bash", "-ec", f"trap 'pwd >{there}' EXIT\n{block}"],
            cwd=self.folder,
            env={**clean, **offline, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        self.said, self.status = done.stdout + done.stderr, done.returncode
        self.folder = Path(there.read_text().strip())

    def text(self, block: str) -> None:
        """Compare what was said; how many scenarios there are is not the tutorial's to know."""
        said = [numberless(line) for line in self.said.splitlines()]
        missing = [line for line in block.splitlines() if numberless(line) not in said]
        assert not missing, f"{missing} not in:\n{self.said[-3000:]}"

    def python(self, block: str) -> None:
        """Put code where the tutorial says: a method into the driver, anything else before the reader's class."""
        module = self.folder / "layerstore_shelf.py"
        text = module.read_text()
        found = ast.parse(block).body
        if all(isinstance(each, ast.FunctionDef) for each in found):
            for each in found:
                text = with_method(text, each.name, source(block, each))  # type: ignore[attr-defined]  # all are
        else:
            text = with_class(text, found[-1], block)
        module.write_text(text)


def numberless(line: str) -> str:
    """Return a line with every count alike, but for none."""
    return re.sub(r"\b[1-9]\d*\b", "#", line.rstrip())


def source(text: str, node: ast.stmt) -> str:
    """Return the lines of a statement, decorators and all."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def with_method(text: str, name: str, method: str) -> str:
    """Replace a method of the driver, or add it before the first."""
    (driver,) = (each for each in ast.parse(text).body if getattr(each, "name", "") == "ShelfDriver")
    assert isinstance(driver, ast.ClassDef)
    methods = [each for each in driver.body if isinstance(each, ast.FunctionDef)]
    indented = textwrap.indent(method, "    ")
    for each in methods:
        if each.name == name:
            return text.replace(source(text, each), indented)
    first = source(text, methods[0])
    return text.replace(first, f"{indented}\n\n{first}")


def with_class(text: str, node: ast.stmt, block: str) -> str:
    """Replace a class, or put what is new above the reader's."""
    name = getattr(node, "name", "")
    for each in ast.parse(text).body:
        if name and getattr(each, "name", "") == name:
            return text.replace(source(text, each), block.rstrip())
    return text.replace("class ShelfReader", f"{block}\n\nclass ShelfReader", 1)


@pytest.mark.once
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """Every command is run and every piece of code put in; what is printed below them is what they print."""
    folder = tmp_path / "empty"
    folder.mkdir()
    reader = Reader(folder)
    blocks = re.findall(r"```(sh|python|text)\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
    assert {kind for kind, _ in blocks} == {"sh", "python", "text"}
    for kind, block in blocks:
        getattr(reader, kind)(block)
        assert reader.status in (0, 1, 7), reader.said
        assert "Traceback" not in reader.said
    assert not list(Path(sysconfig.get_path("purelib")).glob("layerstore_shelf*")), "installed outside its virtualenv"

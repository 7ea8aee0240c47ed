"""The pages of the site do what they say: what is to be typed is run, and prints what stands below it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import layerstore
from layerstore_conformance import testing

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)

ELSEWHERE = {"registry.md": "registry", "testing.md": "conformance", "tutorial.md": "conformance"}
"""Pages that have a test of their own, and the room that it is in."""

NOT_RUN = {
    "azure.md": "an Azurite",
    "benchmarks.md": "a GiB",
    "conformance.md": "a store that the reader has",
    "object-stores.md": "a service that the reader has",
    "s3.md": "a server that speaks S3",
}
"""Pages whose commands are for a machine or a store that is not here."""

SUITES = {"ci.md"}
"""Pages that run the whole suite: they take long, and say the same on every Python."""

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the tests run without their repository")


class Reader:
    """Somebody who types what a page says, in an empty directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {}
        self.said = ""

    def read(self, kind: str, title: str, block: str) -> None:
        """Do what a block is for: write the file that it is, run it, or compare it with what was said last."""
        if title:
            (self.folder / title).write_text(block)
        elif kind in ("python", "sh", "text"):
            getattr(self, kind)(block)

    def python(self, block: str) -> None:
        """Run code, which may go on from what was run before."""
        with redirect_stdout(io.StringIO()) as said:
            exec(compile(block, "<page>", "exec"), self.names)
        self.said = said.getvalue()

    def sh(self, block: str) -> None:
        """Type commands, each of which has to succeed."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
        program = f'layerstore() {{ {sys.executable} -m layerstore "$@"; }}\n'
        words = ["bash", "-euc", program + block]
        done = subprocess.run(words, cwd=self.folder, env=clean, capture_output=True, text=True, check=False)
        self.said = done.stdout + done.stderr
        assert done.returncode == 0, self.said

    def text(self, block: str) -> None:
        """Compare; how many scenarios there are is not a page's to know."""
        said = [numberless(line) for line in self.said.splitlines()]
        missing = [line for line in block.splitlines() if numberless(line) not in said]
        assert not missing, f"{missing} not in:\n{self.said}"


def numberless(line: str) -> str:
    """Return a line with every count of scenarios alike."""
    return re.sub(r"\b\d+ (passed|skipped)", r"# \1", line.rstrip())


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return the kind, title and text of every block of a page."""
    return BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


def runnable() -> list[Any]:
    """Return the pages that have something to run."""
    pages = {each.name for each in DOCS.glob("*.md")} - ELSEWHERE.keys() - NOT_RUN.keys()
    found = sorted(page for page in pages if {"python", "sh"} & {kind for kind, _, _ in blocks(page)})
    return [pytest.param(page, marks=pytest.mark.once) if page in SUITES else page for page in found]


@pytest.mark.parametrize("page", runnable())
def test_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block is run, in order and in one directory; what is printed below is what it prints."""
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path)
    for kind, title, block in blocks(page):
        reader.read(kind, title, block)


def test_the_rules_of_a_clause_are_numbered_after_it() -> None:
    """W6.1 stands below W6, and W6.2 follows it: what is cited is found."""
    page = (DOCS / "contract.md").read_text(encoding="utf-8")
    found = re.findall(r"^(?:- \*\*|    - )([A-Z]\d+(?:\.\d+)?)", page, re.MULTILINE)
    clause, number, wanted = "", 0, []
    for name in found:
        clause, number = (clause, number + 1) if "." in name else (name, 0)
        wanted.append(f"{clause}.{number}" if number else clause)
    assert found == wanted
    assert "W6.4" in found


@pytest.mark.parametrize("page", ELSEWHERE)
def test_a_page_that_is_not_run_here_is_run_elsewhere(page: str) -> None:
    """Its own test names it."""
    tests = DOCS.parent / ELSEWHERE[page] / "tests"
    assert any(f'"{page}"' in each.read_text(encoding="utf-8") for each in tests.glob("test_*.py"))


def test_every_public_name_is_in_the_reference() -> None:
    """docs/api.md leaves out nothing that is offered; of the module of errors it takes all."""
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    errors = {name for name in layerstore.__all__ if hasattr(layerstore.errors, name)}
    named = set(re.findall(r"^::: layerstore\.(\w+)$", page, re.MULTILINE))
    assert named - {"errors", "hookspecs"} == set(layerstore.__all__) - errors
    members = re.findall(r"members: \[(.*)\]", page)[-1]
    assert set(members.split(", ")) == set(testing.__all__)


OUTSIDE = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "examples/layerstore-sqlite/README.md",
)
"""Pages that are not of the site, which checks its own links."""


@pytest.mark.parametrize("page", OUTSIDE)
def test_a_link_of_a_page_outside_the_site_leads_somewhere(page: str) -> None:
    """The file is there, and has the heading: what moves takes its links along."""
    root = DOCS.parent
    for path, anchor in re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)]*))?\)", (root / page).read_text("utf-8")):
        target = (root / page).parent / path if path else root / page
        assert target.exists(), f"{page} links to {path}"
        assert not anchor or anchor in headings(target), f"{page} links to {path}#{anchor}"


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in found}


@pytest.mark.parametrize(
    ("page", "folder"),
    [
        ("local.md", "drivers/layerstore_drivers/local"),
        ("azure.md", "drivers/layerstore_drivers/azure"),
        ("theorem.md", "core/layerstore"),
    ],
)
def test_a_page_that_says_which_file_does_what_names_files_that_are_there(page: str, folder: str) -> None:
    """A module that is renamed or moved takes its line along."""
    named = set(re.findall(r"`([\w/]+\.py)`", (DOCS / page).read_text("utf-8")))
    roots = (DOCS.parent / folder, DOCS.parent / "drivers/layerstore_drivers")
    assert named
    assert [file for file in named if not any((root / file).exists() for root in roots)] == []

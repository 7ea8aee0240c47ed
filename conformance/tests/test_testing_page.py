"""docs/testing.md shows how the suite's parts are used in other tests: every example runs, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from layerstore_conformance import testing

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
EXAMPLES = re.findall(r"## ([\w ]+)\n(?:(?!\n## ).)*?```python\n(.*?)```\n+```text\n(.*?)```", TEXT, re.DOTALL)

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests run without their repository")


@pytest.mark.parametrize(("example", "printed"), [each[1:] for each in EXAMPLES], ids=[each[0] for each in EXAMPLES])
def test_an_example_prints_what_the_page_says(tmp_path: Path, example: str, printed: str) -> None:
    """It is run as it stands, by a program of its own in an empty directory."""
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (printed, "")


def test_every_part_has_an_example() -> None:
    """No section of the page is without one."""
    assert len(EXAMPLES) == TEXT.count("\n## ") == TEXT.count("```python")


def test_what_is_public_is_listed() -> None:
    """Everything imported to be offered is offered, and nothing else."""
    offered = {name for name in vars(testing) if name.isidentifier() and name[0] != "_"}
    assert offered == set(testing.__all__)


@pytest.mark.parametrize(("old", "new"), [("Zygote", "ForkServer"), ("Death", "ExitRecord"), ("Life", "TrackedUpload")])
def test_a_former_name_is_importable_with_a_warning(old: str, new: str) -> None:
    """A test that was written with a former name still runs, and its author learns the present one."""
    with pytest.warns(DeprecationWarning, match=f"{old} is deprecated: use {new}"):
        assert getattr(testing, old) is getattr(testing, new)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Only former names are looked up."""
    with pytest.raises(AttributeError, match="no attribute 'zygote'"):
        testing.zygote  # noqa: B018  (the access is what is tested)

"""The README's example does what the README says."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="the tests run without their repository")
def test_the_example_prints_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's example, run as it stands, prints the lines below it."""
    text = README.read_text(encoding="utf-8")
    example, printed = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("python", "text"))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, README, "exec"), {})
    assert capsys.readouterr().out == printed


@pytest.mark.skipif(not README.exists(), reason="the tests run without their repository")
def test_the_example_has_as_many_lines_as_its_pages_say() -> None:
    """The worked example grows, and what is said of its length with it."""
    example = README.parent / "examples" / "layerstore-sqlite"
    files = [path for path in (example / "layerstore_sqlite").iterdir() if path.suffix in {".py", ".sql"}]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert f"a distribution of {lines} lines" in README.read_text(encoding="utf-8")
    assert f"driver is {lines} lines" in (example / "README.md").read_text(encoding="utf-8")

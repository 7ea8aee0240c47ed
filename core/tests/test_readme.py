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

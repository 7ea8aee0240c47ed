"""``layerstore bench`` and ``pytest --pyargs layerstore_benchmarks``, run as programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import html5lib
import pytest
from click.testing import CliRunner

from layerstore_benchmarks.command import bench


def run(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python module as a program."""
    program = [sys.executable, "-m", *map(str, words)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(program, cwd=folder, env=clean, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure a tiny layer, and return the folder with the reports."""
    folder = tmp_path_factory.mktemp("bench")
    words = ("layerstore", "bench", "memory:", "--size=64KiB", "--rounds=2", "--report=reports")
    done = run(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "a layer of 64 KiB in writes of 64 KiB" in done.stdout
    assert done.stdout.splitlines()[-1] == "report: reports/bench.html"
    return folder / "reports"


def test_the_page_is_one_file_of_whole_html(reports: Path) -> None:
    """The page parses without an error, and loads nothing from elsewhere."""
    text = (reports / "bench.html").read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    assert "http" not in text.replace("http-equiv", "")


def test_the_page_has_every_case(reports: Path) -> None:
    """Every case that was measured has a row."""
    told = json.loads((reports / "bench.json").read_text(encoding="utf-8"))
    text = (reports / "bench.html").read_text(encoding="utf-8")
    assert text.count("<th scope=\"row\">") == 2 * len(told["cases"])  # fmt: skip


def test_two_runs_are_compared(reports: Path) -> None:
    """The counts of a run beside itself are the same; one more call is found, and fails."""
    told = json.loads((reports / "bench.json").read_text(encoding="utf-8"))
    told["cases"][1]["costs"]["calls"]["stat"] += 1
    (reports / "more.json").write_text(json.dumps(told))
    same = run("layerstore", "bench", "compare", "bench.json", "bench.json", folder=reports)
    more = run("layerstore", "bench", "compare", "bench.json", "more.json", folder=reports)
    assert (same.returncode, more.returncode) == (0, 1)
    assert more.stdout.splitlines()[0] == "worse: hash, 64 KiB in 64 KiB: stat 1 -> 2"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nowhere:store"], 1, "nowhere"),
        (["memory:", "--size=much"], 2, "'much' is not a size"),
        (["memory:", "--write-size=1GiB"], 2, "at most 16 MiB"),
        (["compare", "missing.json", "missing.json"], 7, "missing.json"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, words: list[str], status: int, said: str) -> None:
    """What cannot be measured or compared is told without a traceback."""
    done = run("layerstore", "bench", *words, folder=tmp_path)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_who_lacks_the_extra_is_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that cannot be drawn is not found out after the measuring."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = CliRunner().invoke(bench, ["memory:", "--size=4KiB", f"--report={tmp_path / 'reports'}"])
    assert (result.exit_code, result.stdout) == (7, "")
    assert "No module named 'jinja2'; pip install 'layerstore[bench]'" in result.stderr


def test_pytest_runs_the_cases(tmp_path: Path) -> None:
    """pytest-benchmark times the cases of a URL, and keeps their costs beside the times; no scenario is missed."""
    words = ("--pyargs", "layerstore_benchmarks", "--layerstore-url=memory:", "--layerstore-size=4KiB")
    done = run("pytest", *words, "--benchmark-json=told.json", "-p", "no:cacheprovider", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    told = {each["name"]: each for each in json.loads((tmp_path / "told.json").read_text())["benchmarks"]}
    reread = told["test_bench[re-read, 4 KiB in 4 KiB]"]
    assert (reread["extra_info"]["bytes_read"], reread["stats"]["rounds"]) == (4096, 5)


def test_pytest_without_a_url_is_no_success(tmp_path: Path) -> None:
    """Benchmarks of no store fail, and say what is missing."""
    done = run("pytest", "--pyargs", "layerstore_benchmarks", "-p", "no:cacheprovider", folder=tmp_path)
    assert done.returncode == 1
    assert "give --layerstore-url" in done.stdout

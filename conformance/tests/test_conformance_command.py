"""``layerstore conformance``: one command, a store's URL, and a verdict with a meaningful exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from layerstore_conformance import command
from layerstore_conformance.reports.difference import difference

FEW = "--only=cost"


def run(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    program = [sys.executable, "-m", "layerstore", "conformance", *arguments]
    return subprocess.run(program, capture_output=True, text=True, cwd=folder, check=False)


def record(outcome: str, reason: str = "") -> dict[str, str]:
    """A record, as far as two of them are compared."""
    return {"id": "a.b", "outcome": outcome, "reason": reason, "waiver": reason}


def report(folder: Path, name: str, *outcomes: str) -> str:
    """Write a report of scenarios with these outcomes."""
    records = [{**record(outcome), "id": f"a.{number}"} for number, outcome in enumerate(outcomes)]
    (folder / name).write_text(json.dumps({"schema": "layerstore-conformance-report/1", "records": records}))
    return str(folder / name)


def diff(*files: str) -> Result:
    """Compare two reports."""
    return CliRunner().invoke(command.conformance, ["diff", *files])


def test_the_command_ends_with_one_verdict_line(tmp_path: Path) -> None:
    """In a pipe there is the table and the verdict, no progress; and the report is named."""
    result = run("memory://command", FEW, "--report", str(tmp_path / "reports"))
    lines = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")
    assert lines[-1].startswith("layerstore conformance: PASSED: ")
    assert lines[-2] == f"report: {tmp_path / 'reports' / 'report.html'}"
    assert not [line for line in lines if line.startswith(".")]


@pytest.mark.parametrize(("module", "words"), [("pytest", []), ("xdist", ["-n2"]), ("jinja2", ["--report", "there"])])
def test_who_lacks_the_extra_is_told_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, words: list[str]
) -> None:
    """It is no failure of a scenario, and it is reported before any is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(command.conformance, ["memory://lacking", *words])
    assert (result.exit_code, result.stdout) == (7, "")
    assert f"No module named '{module}'; pip install 'layerstore[conformance]'" in result.stderr


def test_an_author_whose_driver_is_ignored_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that claims layerstore's own scheme gets no verdict of layerstore's driver without a warning."""
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[layerstore.drivers]\nmemory = mine\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = run("memory://ignored", "--only=putting.what-was-put-is-there").stdout
    assert "warning: scheme 'memory' is layerstore's own, and the driver of mine for it is ignored: rename" in told


def test_the_users_own_pytest_has_no_say(tmp_path: Path) -> None:
    """Configuration, conftest and modules of the current directory are left alone, broken or not."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError")
    (tmp_path / "layerstore_conformance.py").write_text("raise RuntimeError")
    result = subprocess.run(
        [sys.executable, "-P", "-m", "layerstore", "conformance", "memory://own", FEW], cwd=tmp_path, check=False
    )
    assert result.returncode == 0


SAYS_ITS_NAME = """
import atexit, os
atexit.register(lambda: open("names", "a").write(os.environ.get("PYTEST_XDIST_WORKER", "none") + " "))
"""
"""What each Python does at its end: it says in the current directory which worker it was."""


@pytest.mark.once
def test_several_processes_give_the_same_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``-n`` the records come from workers."""
    (tmp_path / "sitecustomize.py").write_text(SAYS_ITS_NAME)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    one, two = (run("memory://command", FEW, f"-n{number}", folder=tmp_path).stdout for number in (1, 2))
    assert one.splitlines()[-1] == two.splitlines()[-1]
    assert one.splitlines()[-1].startswith("layerstore conformance: PASSED: ")
    assert set((tmp_path / "names").read_text().split()) == {"none", "gw0", "gw1"}


def test_a_store_that_no_other_opening_sees_is_told_before_anything_is_run() -> None:
    """It is one line that says what to do, and not a failure of every scenario."""
    result = run("memory:", FEW)
    assert (result.returncode, result.stderr) == (7, "")
    (told,) = (line for line in result.stdout.splitlines() if "store of its own" in line)
    assert told.startswith("layerstore conformance: ERROR: 0 passed; every opening is a store of its own")
    assert told.endswith("memory://NAME")


MISTAKES = {("nosuch://x",): 7, ("memory://x", "--only=nothing"): 7, (): 2, ("memory://x", "--seed=a"): 2}


@pytest.mark.parametrize(("arguments", "status"), MISTAKES.items())
def test_a_mistake_is_told_in_one_line(arguments: tuple[str, ...], status: int) -> None:
    """A run that cannot begin has an exit status of its own, and no traceback."""
    result = run(*arguments)
    assert result.returncode == status
    assert "rror: " in (result.stdout + result.stderr).replace("ERROR: ", "error: ")
    assert "Traceback" not in result.stdout + result.stderr


def test_the_help_names_every_exit_status() -> None:
    """A user who scripts the command need not read its source."""
    text = " ".join(CliRunner().invoke(command.conformance, ["--help"]).output.split())
    assert "Exit status: 0 the run passed: every selected scenario" in text
    assert [
        word
        for word in ("1 a scenario failed", "6 the run is incomplete", "7 the run could not begin")
        if word not in text
    ] == []


def test_an_interrupted_run_cleans_up(tmp_path: Path) -> None:
    """A signal is passed on, and what the interrupted scenario stored is taken away."""
    words = [sys.executable, "-m", "layerstore", "conformance", f"local://{tmp_path}/store"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        while not list(tmp_path.glob("store/layerstore-conformance/*")):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGINT
    assert [path for path in tmp_path.glob("store/layerstore-conformance/**/*") if path.is_file()] == []


def test_no_change(tmp_path: Path) -> None:
    """Two reports of the same outcomes."""
    one = report(tmp_path, "one.json", "passed", "skipped")
    result = diff(one, report(tmp_path, "two.json", "passed", "skipped"))
    assert (result.exit_code, result.output) == (0, "no change\n")


def test_a_scenario_that_newly_fails(tmp_path: Path) -> None:
    """A regression has exit status 1; that another one was fixed changes nothing about it."""
    one = report(tmp_path, "one.json", "passed", "failed")
    result = diff(one, report(tmp_path, "two.json", "failed", "passed"))
    assert result.exit_code == 1
    assert result.output == "newly failing: a.0 (was passed)\nnewly passing: a.1 (was failed, is passed)\n"


CHANGES = [
    (None, record("passed"), "appeared"),
    (None, record("failed"), "newly_failing"),
    (record("passed"), None, "disappeared"),
    (record("skipped", "no durable"), record("failed"), "newly_failing"),
    (record("skipped", "no durable"), record("skipped", "no shared"), "changed"),
    (record("passed"), record("skipped", "no shared"), "changed"),
    (record("failed"), record("waived", "later"), "changed"),
    (record("waived", "later"), record("passed"), "newly_passing"),
]


@pytest.mark.parametrize(("before", "after", "kind"), CHANGES)
def test_a_change_is_of_one_kind(before: dict[str, str] | None, after: dict[str, str] | None, kind: str) -> None:
    """Every change is printed once."""
    found = difference({"a.b": before} if before else {}, {"a.b": after} if after else {})
    assert [name for name in found.__slots__ if getattr(found, name)] == [kind]
    assert len(found.lines()) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "layerstore-conformance-report/2"}'])
def test_a_file_that_is_no_report(tmp_path: Path, text: str) -> None:
    """A file that cannot be compared is named, with an exit status of its own."""
    (tmp_path / "bad.json").write_text(text)
    result = diff(report(tmp_path, "one.json"), str(tmp_path / "bad.json"))
    assert (result.exit_code, result.output.count("\n")) == (7, 1)
    assert "bad.json" in result.output

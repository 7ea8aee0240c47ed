"""A storm of real processes: a good store comes through it, and what is planted, hangs or dies is found."""

import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from layerstore_conformance.command import conformance
from layerstore_conformance.storm.command import lines
from layerstore_conformance.storm.director import Director, Running, Tail
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.storm import Storm

ROUNDS = 8
"""In the first of them a planted defect is mostly found; it may do other harm before."""


def plan(tmp_path: Path, **options: object) -> Plan:
    """Plan a storm on a new store."""
    folder = tmp_path / "logs"
    folder.mkdir()
    return Plan(f"local:{tmp_path}/store", f"storm-{uuid.uuid4().hex}", folder, **options)  # type: ignore[arg-type]


PLANTED = {
    "version-not-compared": {"damaged", "surprise"},
    "gc-marks-once": {"scrub", "lost", "surprise"},
    "writes-visible-at-once": {"mixed", "surprise"},
}


@pytest.mark.once
@pytest.mark.parametrize("defect", PLANTED)
def test_a_planted_defect_is_found(tmp_path: Path, defect: str) -> None:
    """A version not compared, blobs marked once, bytes visible before their flush: each is found."""
    storm = Storm(plan(tmp_path, operations=1500, signals=("kill",), plant=(defect,)))
    while storm.rounds < ROUNDS and not kinds(storm) & PLANTED[defect]:
        storm.round()
    assert kinds(storm) & PLANTED[defect], "\n".join(lines(storm))


def kinds(storm: Storm) -> set[str]:
    """Return the kinds of violation that were found so far."""
    return {each.kind for each in storm.violations}


HANGS = """
import threading, sys
from pathlib import Path
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.worker import Worker

def wait_for_a_lock_that_nobody_releases():
    threading.Event().wait()

worker = Worker(Plan("memory:", "storm", Path(sys.argv[1]), deadline=0.1), "worker-0")
worker.do("flush", {}, wait_for_a_lock_that_nobody_releases)
"""


def test_a_worker_that_hangs_ends_and_leaves_its_stacks(tmp_path: Path) -> None:
    """An operation has a deadline; after it the stacks say where each thread is."""
    done = subprocess.run([sys.executable, "-c", HANGS, str(tmp_path)], check=False)
    assert done.returncode == 1
    assert "wait_for_a_lock_that_nobody_releases" in (tmp_path / "worker-0.stacks").read_text()


def test_a_worker_that_dies_by_itself_is_a_violation(tmp_path: Path) -> None:
    """Only a signal of the director's may end a worker; its last words are reported."""
    director = Director(Plan("nosuch://store", "storm", tmp_path, processes=1, deadline=1), Counter())
    director.run()
    (found,) = director.violations[:1]
    assert found.kind == "died"
    assert "no driver for scheme 'nosuch'" in found.text


def test_a_hang_is_a_violation_with_its_stacks(tmp_path: Path) -> None:
    """A worker whose stacks were dumped did not die but hang."""
    director = Director(Plan("nosuch://store", "storm", tmp_path, processes=1, deadline=1), Counter())
    running = director._started()
    running.process.join()
    (tmp_path / "worker-0.stacks").write_text("Thread 1: in flock")
    director._died(running)
    assert [(each.kind, "in flock" in each.text) for each in director.violations] == [("hang", True)]


class Alive:
    """A process that does nothing."""

    pid = None

    def is_alive(self) -> bool:
        """Say that it lives."""
        return True


def running(folder: Path, name: str, doing: str) -> Running:
    """Make a worker that is in the middle of something, and stays there."""
    (folder / f"{name}.journal").write_text(f'{{"do": "{doing}"}}\n')
    (folder / f"{name}.stacks").write_text("Thread 1: in flock")
    made = Running(name, Alive(), Tail(folder / f"{name}.journal"))  # type: ignore[arg-type]  # all that is asked
    made.tail.read()
    return made


@pytest.mark.parametrize(("grace", "kinds"), [(0.0, ["waits"]), (0.02, [])])
def test_who_waits_for_a_stopped_process_is_a_violation(tmp_path: Path, grace: float, kinds: list[str]) -> None:
    """Half of the deadline is long; with a grace, no stop is, and waiting for its end is no violation."""
    director = Director(Plan("memory:", "storm", tmp_path, grace=grace, deadline=0.02), Counter())
    stopped, waiting = running(tmp_path, "worker-0", "flush"), running(tmp_path, "worker-1", "resume")
    director._running = [stopped, waiting]
    director._wait_for_others(stopped)
    assert [each.kind for each in director.violations] == kinds
    for each in director.violations:
        assert "its resume waits for worker-0, stopped in its flush" in each.text
        assert "in flock" in each.text


@pytest.mark.parametrize(("url", "told"), [("memory://x", "does not declare shared"), ("nosuch://x", "no driver for")])
def test_a_storm_that_cannot_begin_is_told(url: str, told: str) -> None:
    """It takes a driver whose processes share a store."""
    result = CliRunner().invoke(conformance, ["storm", url])
    assert (result.exit_code, result.stdout) == (7, "")
    assert told in result.stderr


def test_journals_are_not_mixed_with_other_files(tmp_path: Path) -> None:
    """A directory that holds something is refused."""
    (tmp_path / "theirs").touch()
    result = CliRunner().invoke(conformance, ["storm", f"local:{tmp_path}/store", "--logs", str(tmp_path)])
    assert result.exit_code == 7
    assert "is not empty" in result.stderr


@pytest.mark.once
def test_the_command_tells_what_it_did_and_leaves_nothing(tmp_path: Path) -> None:
    """The seed, the operations, the signals; and what it stored is taken away."""
    words = ["-m", "layerstore", "conformance", "storm", f"local:{tmp_path}/store", "--operations", "60", "--seed", "7"]
    done = subprocess.run([sys.executable, *words, "--signal", "kill"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    last = done.stdout.splitlines()[-1]
    assert last.startswith("storm: seed 7: ")
    assert last.endswith(" 0 violations")
    assert list((tmp_path / "store").glob("[!.]*/*")) == []

"""Runs the suite on a mutant, in a process that is forked from one which has imported pytest and Hypothesis already."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import pkgutil
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOMS = ("core", "drivers", "conformance", "benchmarks", "examples/layerstore-sqlite")

_PATIENCE = 10
"""A run that waits for ever is ended after so many times its processor time, however busy the machine is."""

_KILLED_BY = re.compile(r"^(?:FAILED|ERROR) \S*?(?:::(\S+)| )", re.MULTILINE)


def copied(folder: Path) -> Path:
    """Copy the files of the tree that Git knows, and return where to."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)  # noqa: S607  (the user's Git)
    for name in filter(None, listed.stdout.split("\0")):
        if Path(name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name)
    return folder


class Judge:
    """The suite in one profile, on a copy of the tree."""

    def __init__(self, tree: Path, suite: str, profile: str, limit: int) -> None:
        """Judge by this suite; a run that takes more seconds of processor time is ended, and counts as a kill."""
        self.tree, self.suite, self.profile, self.limit = tree, suite, profile, limit

    def killer_of(self, module: Path, source: str) -> str:
        """Return the scenario that fails with this source in the module's place; an empty text if none does."""
        path = self.tree / module
        before = path.read_bytes()
        path.write_text(source, "utf-8")
        try:
            return self.run()
        finally:
            path.write_bytes(before)

    def run(self) -> str:
        """Run the suite up to its first failure; return what failed, or an empty text."""
        log = self.tree / "judged.txt"
        child = multiprocessing.get_context("fork").Process(target=self._in_child, args=(log,))
        child.start()
        ended = _ends(child.pid or 0, _PATIENCE * self.limit)
        with contextlib.suppress(ProcessLookupError):  # also what a broken scenario has left behind
            os.killpg(child.pid or 0, signal.SIGKILL)
        child.join()
        if not ended or child.exitcode == -signal.SIGXCPU:
            return "runs for ever"
        return "" if child.exitcode == 0 else _name_of_failure(log.read_text("utf-8", "replace"))

    def _in_child(self, log: Path) -> None:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (self.limit, self.limit + 1))
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(self.tree)
        paths = os.pathsep.join(str(self.tree / room) for room in ROOMS)
        os.environ.update(PYTHONPATH=paths, PYTHONDONTWRITEBYTECODE="1")
        sys.dont_write_bytecode = True
        import pytest

        options = ["-x", "-q", "--tb=line", "-pno:cacheprovider", "-pno:xdist"]
        # Hypothesis was imported before pytest could rewrite its asserts.
        options += ["-Wignore::pytest.PytestAssertRewriteWarning", f"--layerstore-profile={self.profile}"]
        os._exit(pytest.main([*options, self.suite]))  # without the forked parent's exit handlers


def _ends(process: int, seconds: float) -> bool:
    """Wait for a child, and leave its number to it. Return whether it has ended."""
    until = time.monotonic() + seconds
    while os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def _name_of_failure(text: str) -> str:
    found = _KILLED_BY.search(text)
    return (found[1] if found else None) or "cannot be run"


def warm_up(tree: Path, packages: list[str]) -> None:
    """Import what is needed for every judgement: pytest, Hypothesis, and some packages of the copied tree."""
    sys.path[:0] = [str(tree / room) for room in ROOMS]
    for name in ("pytest", "hypothesis.stateful", *packages):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(getattr(package, "__path__", ()) if name in packages else (), f"{name}."):
            importlib.import_module(module.name)


def check_unchanged(judge: Judge) -> None:
    """See that the suite passes without a mutant.

    Raises:
        SystemExit: it does not.
    """
    if failed := judge.run():
        raise SystemExit(f"without a mutant, {judge.profile} of {judge.suite} fails: {failed}")

"""A pytest plugin for output that is no terminal: a line every few seconds. ``layerstore conformance`` loads it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator

import pytest

Status = tuple[str, object, object]

EVERY = 5.0
"""Seconds between two lines."""


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus() -> Generator[None, Status, Status]:
    """Keep the category of a test, and print nothing."""
    category, _, _ = yield
    return category, "", ""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Keep quiet about workers, too, and say how far the run is."""
    plugins = session.config.pluginmanager
    if plugins.hasplugin("terminaldistreporter"):
        plugins.unregister(name="terminaldistreporter")
    reporter = plugins.getplugin("terminalreporter")
    if reporter is not None and not hasattr(session.config, "workerinput"):
        plugins.register(Progress(reporter))


class Progress:
    """Says how far a run is."""

    def __init__(self, terminal: pytest.TerminalReporter, every: float = EVERY) -> None:
        """Write to a terminal reporter, at most once in a number of seconds."""
        self._terminal = terminal
        self._every = every
        self._total = 0
        self._outcomes: Counter[str] = Counter()
        self._next = time.monotonic() + every

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note how many tests there are."""
        self._total = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test, and say so if it is time."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self._outcomes[report.outcome] += 1
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self._terminal.write_line(self.line(), flush=True)

    def line(self) -> str:
        """Say how many are done, of how many, and how many failed."""
        done, failed = sum(self._outcomes.values()), self._outcomes["failed"]
        return f"{done} of {self._total} done" + (f", {failed} failed" if failed else "")

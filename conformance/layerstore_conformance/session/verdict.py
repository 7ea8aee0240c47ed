"""The verdict of a pytest run: it collects the results of scenarios, judges them, and writes the reports.

Every pytest run with layerstore installed imports it: it imports only pytest and the standard library. In a run without
scenarios, and without our options, it prints and changes nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from layerstore_conformance.cli.status import CONFIGURATION
from layerstore_conformance.session.continued import read_earlier, take_over
from layerstore_conformance.session.items import (
    CLAIM,
    OPTIONS,
    RECORD,
    SUBJECT,
    SUITE,
    UNUSABLE,
    UNWRITTEN,
    suite_of,
    takes,
)

if TYPE_CHECKING:
    from layerstore_conformance.verdict.judging import Evidence, Expected, Judgement

DEFAULTS = {"seed": 0, "profile": "default", "scale": 1.0}


class Watch:
    """In a worker of pytest-xdist: reports which suites there are."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Report them before any test is deselected."""
        config.workeroutput["layerstore"] = _suites(items)  # type: ignore[attr-defined]  # xdist puts it there


class Verdict:
    """Collects the results of scenarios, and judges them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        """Begin with nothing seen."""
        self._options = options(config)
        self._asked = asked(self._options)
        self._seen: dict[str, Evidence] = {}
        self._ran = self._benched = False
        self._began = datetime.now(UTC)
        self._said: list[tuple[Evidence, Judgement, list[Path]]] = []
        self._broken = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the suites, before any test is deselected, and whether there are benchmarks."""
        self._benched = any(takes(item, "layerstore_bench") for item in items)
        for suite in _suites(items):
            self._evidence(suite)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401  (xdist's)
        """Note the suites of a worker."""
        for suite in getattr(node, "workeroutput", {}).get("layerstore", ()):
            self._evidence(suite)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Note that tests are run, not only listed."""
        self._ran = not session.config.option.collectonly

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the results of a test."""
        found: dict[str, Any] = dict(report.user_properties)
        if not found.keys() & {UNUSABLE, RECORD, CLAIM}:
            return
        seen = self._evidence(found[SUITE])
        seen.unusable = found.get(UNUSABLE, seen.unusable)
        if report.when != "call":
            return
        seen.subject = found.get(SUBJECT, seen.subject)
        seen.unwritten.update(found.get(UNWRITTEN, ()))
        if RECORD in found:
            seen.records.append((found[RECORD], report.outcome))
        if CLAIM in found:
            seen.claims.append(found[CLAIM])

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
        """Keep out of the list of failures the ones that the verdict has: an unusable store, and unwritten parts."""
        found = dict(report.user_properties) if isinstance(report, pytest.TestReport) else {}
        if UNUSABLE in found and isinstance(report.longrepr, str):
            return "layerstore-unusable", "E", "ERROR"
        if UNWRITTEN in found and report.when == "call" and report.failed:
            return "not implemented", "n", "NOT IMPLEMENTED"
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge, write the reports, and change the exit status if it would say too little."""
        wanted = self._asked and not self._benched  # benchmarks have the same URL, and need no scenario
        if not self._ran or not (wanted or self._seen):
            return
        stopped = bool(session.shouldstop or session.shouldfail) or exitstatus not in (0, 1, 5)
        try:
            status = self._judged(stopped=stopped)
        except (LookupError, OSError, ValueError) as error:
            self._broken, status = _text(error), CONFIGURATION
        all_done = self._options["continue"] and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        if status == CONFIGURATION or (status and not stopped) or all_done:
            session.exitstatus = status

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a table of groups, the skips and waivers, and last the verdict in one line."""
        from layerstore_conformance.reports.table import summary

        for seen, judgement, files in self._said:
            title = f"layerstore conformance {seen.suite if len(self._said) > 1 else ''}".rstrip()
            terminalreporter.section(title)
            for line, markup in summary(seen, judgement, files):
                terminalreporter.write_line(line, **markup)
        if self._broken:
            terminalreporter.write_line(f"layerstore conformance: ERROR: {self._broken}", red=True, bold=True)

    def _judged(self, *, stopped: bool) -> int:
        from layerstore_conformance.reports import Run, write_reports
        from layerstore_conformance.verdict.judging import judge

        wanted = expected(self._options)
        if not self._seen:
            self._evidence("")
        earlier = read_earlier(self._options)
        for suite, seen in sorted(self._seen.items()):
            take_over(earlier, seen)
            seen.stopped = stopped
            judgement = judge(wanted, seen)
            files: list[Path] = []
            if self._options["report"]:
                run = Run(wanted, seen, judgement, self._options, self._began)
                files = write_reports(run, self._folder(suite))
            self._said.append((seen, judgement, files))
        return max(judgement.status for _, judgement, _ in self._said)

    def _folder(self, suite: str) -> Path:
        """Return the folder of a suite's reports: one each if there are several suites."""
        folder = Path(self._options["report"])
        if len(self._seen) == 1:
            return folder
        return folder / re.sub(r"[^\w.-]+", "-", suite.replace(".py", "")).strip("-")

    def _evidence(self, suite: str) -> Evidence:
        from layerstore_conformance.verdict.judging import Evidence

        return self._seen.setdefault(suite, Evidence(suite))


def options(config: pytest.Config) -> dict[str, Any]:
    """Return the values of the options, by name."""
    return {name: config.getoption(f"layerstore_{name}") for name in OPTIONS}


def asked(options: dict[str, Any]) -> bool:
    """Return whether any option was given."""
    return any(value not in (None, [], False, DEFAULTS.get(name)) for name, value in options.items())


def mistake(config: pytest.Config) -> str:
    """Return the error of the options, before any time is spent; empty if there is none."""
    given = options(config)
    if not asked(given):
        return ""
    try:
        expected(given)
        read_earlier(given)
        if given["scale"] <= 0:
            return f"the scale must be above 0, not {given['scale']:g}"
        if given["report"]:
            Path(given["report"]).mkdir(parents=True, exist_ok=True)
    except (LookupError, OSError, ValueError) as error:
        return _text(error)
    return ""


def expected(options: dict[str, Any]) -> Expected:
    """Return the results that a run with these options must have.

    Raises:
        LookupError: ``--layerstore-only`` has an unknown name, or a scenario claims to find an unknown defect.
        WaiverError: the waivers cannot be used.
    """
    from layerstore_conformance.engine.prove import claims
    from layerstore_conformance.engine.scenario import scenarios, selected
    from layerstore_conformance.verdict.judging import Expected
    from layerstore_conformance.verdict.waivers import check_known, read_waivers

    chosen = selected(options["profile"], tuple(options["only"]))
    waivers = read_waivers(Path(options["waivers"])) if options["waivers"] else {}
    check_known(waivers, [each.id for each in scenarios()])
    made = claims(chosen) if options["prove"] else []
    pairs = frozenset((defect.id, scenario.id) for defect, scenario in made)
    return Expected(tuple(each.id for each in chosen), pairs, waivers)


def _suites(items: list[pytest.Item]) -> list[str]:
    return sorted({suite_of(item) for item in items if takes(item, "layerstore_scenario")})


def _text(error: Exception) -> str:
    """Return the message of an error; str() of a LookupError may put it in quotation marks."""
    return str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)

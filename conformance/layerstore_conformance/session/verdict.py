"""The verdict of a pytest run: complete, or not; waived, or not; and the reports.

Imported in every pytest run of everybody who has layerstore installed: the standard library and pytest only. In a run
that has no scenario, and is asked for none, it says and changes nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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

DEFAULTS = {"seed": 0, "profile": "default"}

CONFIGURATION = 7
"""The exit status of a run that could not begin; ``verdict.judging.STATUS`` has the others."""


class Watch:
    """In a worker of pytest-xdist: tells which suites there are."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Tell it before anything is deselected."""
        config.workeroutput["layerstore"] = _suites(items)  # type: ignore[attr-defined]  # xdist puts it there


class Verdict:
    """Collects what became of the scenarios, and judges it at the end."""

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
        """Note which suites there are, before anything is deselected; and if there are benchmarks."""
        self._benched = any(takes(item, "layerstore_bench") for item in items)
        for suite in _suites(items):
            self._evidence(suite)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401  (xdist's)
        """Note what a worker has to tell of that."""
        for suite in getattr(node, "workeroutput", {}).get("layerstore", ()):
            self._evidence(suite)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Note that tests are run, not only listed."""
        self._ran = not session.config.option.collectonly

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a test has to tell."""
        told: dict[str, Any] = dict(report.user_properties)
        if not told.keys() & {UNUSABLE, RECORD, CLAIM}:
            return
        seen = self._evidence(told[SUITE])
        seen.unusable = told.get(UNUSABLE, seen.unusable)
        if report.when != "call":
            return
        seen.subject = told.get(SUBJECT, seen.subject)
        seen.unwritten.update(told.get(UNWRITTEN, ()))
        if RECORD in told:
            seen.records.append((told[RECORD], report.outcome))
        if CLAIM in told:
            seen.claims.append(told[CLAIM])

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
        """Keep out of the list of failures what the verdict says once: an unusable store, and what is not written."""
        told = dict(report.user_properties) if isinstance(report, pytest.TestReport) else {}
        if UNUSABLE in told and isinstance(report.longrepr, str):
            return "layerstore-unusable", "E", "ERROR"
        if UNWRITTEN in told and report.when == "call" and report.failed:
            return "not implemented", "n", "NOT IMPLEMENTED"
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge, write the reports, and change the exit status if it would say too little."""
        wanted = self._asked and not self._benched  # those are of the same URL, and want no scenario
        if not self._ran or not (wanted or self._seen):
            return
        stopped = bool(session.shouldstop or session.shouldfail) or exitstatus not in (0, 1, 5)
        try:
            status = self._judged(stopped=stopped)
        except (LookupError, OSError, ValueError) as error:
            self._broken, status = _text(error), CONFIGURATION
        if status == CONFIGURATION or (status and not stopped):
            session.exitstatus = status

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say it: a table of groups, what was skipped and waived, and last the verdict in one line."""
        from layerstore_conformance.reports.table import told

        for seen, judgement, files in self._said:
            title = f"layerstore conformance {seen.suite if len(self._said) > 1 else ''}".rstrip()
            terminalreporter.section(title)
            for line, markup in told(seen, judgement, files):
                terminalreporter.write_line(line, **markup)
        if self._broken:
            terminalreporter.write_line(f"layerstore conformance: ERROR: {self._broken}", red=True, bold=True)

    def _judged(self, *, stopped: bool) -> int:
        from layerstore_conformance.reports import Run, write_reports
        from layerstore_conformance.verdict.judging import judge

        wanted = expected(self._options)
        if not self._seen:
            self._evidence("")
        for suite, seen in sorted(self._seen.items()):
            seen.stopped = stopped
            judgement = judge(wanted, seen)
            files: list[Path] = []
            if self._options["report"]:
                run = Run(wanted, seen, judgement, self._options, self._began)
                files = write_reports(run, self._folder(suite))
            self._said.append((seen, judgement, files))
        return max(judgement.status for _, judgement, _ in self._said)

    def _folder(self, suite: str) -> Path:
        """Return where a suite's reports go: a folder each if there are several."""
        folder = Path(self._options["report"])
        if len(self._seen) == 1:
            return folder
        return folder / re.sub(r"[^\w.-]+", "-", suite.replace(".py", "")).strip("-")

    def _evidence(self, suite: str) -> Evidence:
        from layerstore_conformance.verdict.judging import Evidence

        return self._seen.setdefault(suite, Evidence(suite))


def options(config: pytest.Config) -> dict[str, Any]:
    """Return what was asked for, by the names of the options."""
    return {name: config.getoption(f"layerstore_{name}") for name in OPTIONS}


def asked(options: dict[str, Any]) -> bool:
    """Return whether anything was."""
    return any(value not in (None, [], False, DEFAULTS.get(name)) for name, value in options.items())


def mistake(config: pytest.Config) -> str:
    """Return what the options name that there is not, before any time is spent; empty if all is well."""
    told = options(config)
    if not asked(told):
        return ""
    try:
        expected(told)
        if told["report"]:
            Path(told["report"]).mkdir(parents=True, exist_ok=True)
    except (LookupError, OSError, ValueError) as error:
        return _text(error)
    return ""


def expected(options: dict[str, Any]) -> Expected:
    """Return what there is to be seen, by the options.

    Raises:
        LookupError: ``--layerstore-only`` names nothing, or a scenario claims to find an unknown defect.
        WaiverError: the waivers are not in order.
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
    """Return what an error says; str() of a KeyError or LookupError with one argument is not always that."""
    return str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)

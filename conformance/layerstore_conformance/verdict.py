"""The verdict of a pytest run: complete, or not; waived, or not; and the reports.

Imported in every pytest run of everybody who has layerstore installed: the standard library and pytest only. In a run
that has no scenario, and is asked for none, it says and changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from layerstore_conformance.plugin import CLAIM, OPTIONS, RECORD, SUBJECT, UNUSABLE, UNWRITTEN, takes

if TYPE_CHECKING:
    from layerstore_conformance.judging import Evidence, Expected, Judgement

DEFAULTS = {"seed": 0, "profile": "default"}

CONFIGURATION = 7
"""The exit status of a run that could not begin: :data:`layerstore_conformance.judging.STATUS` has the others."""


class Watch:
    """In a worker of pytest-xdist: tells which modules took the scenarios over."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Tell it before anything is deselected."""
        config.workeroutput["layerstore"] = _modules(items)  # type: ignore[attr-defined]  # xdist puts it there


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
        """Note which modules took the scenarios over, before anything is deselected; and if there are benchmarks."""
        self._benched = any(takes(item, "layerstore_bench") for item in items)
        for module in _modules(items):
            self._evidence(module)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401  (xdist's)
        """Note what a worker has to tell of that."""
        for module in getattr(node, "workeroutput", {}).get("layerstore", ()):
            self._evidence(module)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Note that tests are run, not only listed."""
        self._ran = not session.config.option.collectonly

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a test has to tell."""
        told = dict(report.user_properties)
        if UNUSABLE in told:
            self._evidence(_module(report.nodeid)).unusable = str(told[UNUSABLE])
        if report.when != "call":
            return
        if SUBJECT in told:
            self._evidence(_module(report.nodeid)).subject = told[SUBJECT]  # type: ignore[assignment]
        if RECORD in told:
            self._evidence(_module(report.nodeid)).records.append((told[RECORD], report.outcome))  # type: ignore[arg-type]
        if UNWRITTEN in told:
            self._evidence(_module(report.nodeid)).unwritten.update(told[UNWRITTEN])  # type: ignore[call-overload]
        if CLAIM in told:
            self._evidence(_module(report.nodeid)).claims.append(told[CLAIM])  # type: ignore[arg-type]

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
        from layerstore_conformance.table import told

        for seen, judgement, files in self._said:
            title = f"layerstore conformance {seen.module if len(self._said) > 1 else ''}".rstrip()
            terminalreporter.section(title)
            for line, markup in told(seen, judgement, files):
                terminalreporter.write_line(line, **markup)
        if self._broken:
            terminalreporter.write_line(f"layerstore conformance: ERROR: {self._broken}", red=True, bold=True)

    def _judged(self, *, stopped: bool) -> int:
        from layerstore_conformance.judging import judge
        from layerstore_conformance.reports import Run, write_reports

        wanted = expected(self._options)
        if not self._seen:
            self._evidence("")
        for module, seen in sorted(self._seen.items()):
            seen.stopped = stopped
            judgement = judge(wanted, seen)
            files: list[Path] = []
            if self._options["report"]:
                run = Run(wanted, seen, judgement, self._options, self._began)
                files = write_reports(run, self._folder(module))
            self._said.append((seen, judgement, files))
        return max(judgement.status for _, judgement, _ in self._said)

    def _folder(self, module: str) -> Path:
        """Return where a module's reports go: a folder each if there are several."""
        folder = Path(self._options["report"])
        return folder / module.removesuffix(".py").strip("/").replace("/", "-") if len(self._seen) > 1 else folder

    def _evidence(self, module: str) -> Evidence:
        from layerstore_conformance.judging import Evidence

        return self._seen.setdefault(module, Evidence(module))


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
    from layerstore_conformance.judging import Expected
    from layerstore_conformance.prove import claims
    from layerstore_conformance.scenario import scenarios, selected
    from layerstore_conformance.waivers import check_known, read_waivers

    chosen = selected(options["profile"], tuple(options["only"]))
    waivers = read_waivers(Path(options["waivers"])) if options["waivers"] else {}
    check_known(waivers, [each.id for each in scenarios()])
    made = claims(chosen) if options["prove"] else []
    pairs = frozenset((defect.id, scenario.id) for defect, scenario in made)
    return Expected(tuple(each.id for each in chosen), pairs, waivers)


def _modules(items: list[pytest.Item]) -> list[str]:
    return sorted({_module(item.nodeid) for item in items if takes(item, "layerstore_scenario")})


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _text(error: Exception) -> str:
    """Return what an error says; str() of a KeyError or LookupError with one argument is not always that."""
    return str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)

"""The pytest plugin: options, the harness, and a verdict at the end.

Every pytest run with layerstore installed imports it: it imports only pytest and the standard library before a scenario
is wanted.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore_conformance.session.items import SUITE, UNUSABLE, suite_of, takes

if TYPE_CHECKING:
    from layerstore_conformance.harness import Harness

_STATUS = pytest.StashKey[int]()

# Before a scenario is imported: an assert that shows no values is worth nothing in a CI log.
pytest.register_assert_rewrite("layerstore_conformance.scenarios", "layerstore_conformance.engine.context")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("layerstore", "layerstore's conformance suite")
    group.addoption("--layerstore-url", metavar="URL", help="run the scenarios on the store at this URL")
    group.addoption("--layerstore-missing", metavar="URL", help="a store that does not exist: an unknown bucket, say")
    group.addoption(
        "--layerstore-another", metavar="URL", help="another store of the same backend: another bucket, say"
    )
    group.addoption(
        "--layerstore-scale", metavar="X", type=float, default=1.0, help="below 1: smaller payloads, fewer repetitions"
    )
    group.addoption(
        "--layerstore-only", metavar="NAME", action="append", default=[], help="only this group, module or scenario id"
    )
    group.addoption(
        "--layerstore-seed", metavar="N", type=int, default=0, help="seed of payloads and choices; by default 0"
    )
    group.addoption(
        "--layerstore-profile",
        choices=["quick", "default", "full"],
        default="default",
        help="how much to run; by default: default",
    )
    group.addoption("--layerstore-report", metavar="DIR", help="write report.json, report.html, junit.xml, ... there")
    group.addoption("--layerstore-continue", metavar="FILE", help="run only what this report.json does not have")
    group.addoption("--layerstore-waivers", metavar="FILE", help="scenarios that may fail, each with reason and expiry")
    group.addoption("--layerstore-prove", action="store_true", help="check that planted defects are found")


def pytest_configure(config: pytest.Config) -> None:
    """Register the verdict, in the process that collects all results."""
    from layerstore_conformance.session.replacing import Replaced  # light, too
    from layerstore_conformance.session.verdict import Verdict, Watch  # light: the standard library only

    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Watch(), "layerstore-watch")
        return
    for name in (
        "layerstore_report",
        "layerstore_continue",
        "layerstore_waivers",
    ):  # a worker's current directory may be another
        if config.getoption(name):
            setattr(config.option, name, str(Path(config.getoption(name)).absolute()))
    config.pluginmanager.register(Verdict(config), "layerstore-verdict")
    config.pluginmanager.register(Replaced(), "layerstore-replaced")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Stop at options with an unknown name."""
    from layerstore_conformance.cli.status import CONFIGURATION
    from layerstore_conformance.session.verdict import mistake

    said = "" if hasattr(config, "workerinput") else mistake(config)
    if not said:
        return None
    sys.stderr.write(f"layerstore conformance: ERROR: {said}\n")
    return CONFIGURATION


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the exit status."""
    session.config.stash[_STATUS] = int(session.exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process although a scenario hangs in it."""
    liveness = sys.modules.get("layerstore_conformance.engine.liveness")
    if liveness is not None and liveness.any_left():
        from layerstore_conformance.session.replacing import end

        end(config.stash.get(_STATUS, 1))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Remove the proof if it is not asked for, and what an earlier run has done; note the suite of each test."""
    for item in items:
        if takes(item, "layerstore_scenario") or takes(item, "layerstore_claim"):
            item.user_properties.append((SUITE, suite_of(item)))
    if not config.getoption("layerstore_prove"):
        items[:] = [item for item in items if not takes(item, "layerstore_claim")]
    if config.getoption("layerstore_continue"):
        from layerstore_conformance.session.continued import leave_out, read_earlier
        from layerstore_conformance.session.verdict import options

        config.hook.pytest_deselected(items=leave_out(read_earlier(options(config)), items))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Stop at a harness that cannot be made: every scenario would have the same error."""
    report = yield
    if call.excinfo is None or not takes(item, "layerstore_scenario") or not report.failed:
        return report
    if report.when == "setup":
        reason = f"the harness could not be made: {call.excinfo.exconly()}".removeprefix("Failed: ")
        report.user_properties.append((UNUSABLE, reason))
        item.session.shouldstop = "no store to run scenarios on"
    if UNUSABLE in dict(report.user_properties) and not getattr(call.excinfo.value, "pytrace", True):
        report.longrepr = str(call.excinfo.value)  # no code is shown: the verdict has the reason
    elif crash := getattr(report.longrepr, "reprcrash", None):
        crash.message = crash.message.partition("\n")[0]  # in CI pytest's summary would print the narration once more
    return report


@pytest.fixture(scope="session")
def layerstore_harness(request: pytest.FixtureRequest) -> Harness:
    """Return the harness of ``--layerstore-url``; override this fixture for another one."""
    from layerstore_conformance.harness import Harness

    url = request.config.getoption("layerstore_url")
    if url is None:
        pytest.fail("give --layerstore-url, or override the fixture layerstore_harness", pytrace=False)
    options = request.config.option
    missing, another = options.layerstore_missing, options.layerstore_another
    return Harness(url, missing=missing, another=another, scale=options.layerstore_scale)

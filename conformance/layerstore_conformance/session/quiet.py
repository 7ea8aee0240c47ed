"""A pytest plugin for output that is no terminal: no letter for each test. ``layerstore conformance`` loads it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

Status = tuple[str, object, object]


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus() -> Generator[None, Status, Status]:
    """Keep the category of a test, and print nothing."""
    category, _, _ = yield
    return category, "", ""


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Keep quiet about workers, too."""
    reporter = session.config.pluginmanager.getplugin("terminaldistreporter")
    if reporter is not None:
        session.config.pluginmanager.unregister(reporter)

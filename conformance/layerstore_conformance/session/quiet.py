"""A pytest plugin for where nobody watches: no letter for each test. ``layerstore conformance`` loads it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

Status = tuple[str, object, object]


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus() -> Generator[None, Status, Status]:
    """Keep how a test is counted, and show nothing of it."""
    category, _, _ = yield
    return category, "", ""

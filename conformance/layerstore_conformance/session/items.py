"""The suite's tests among pytest's items: what a test report carries of a scenario, and which suite a test belongs to.

Imported in every pytest run of everybody who has layerstore installed: pytest and the standard library only.
"""

from __future__ import annotations

from typing import Any

import pytest

RECORD = "layerstore"
"""The user property under which a test report carries a scenario's record."""

SUBJECT = "layerstore-subject"
"""The user property that tells the driver under test."""

CLAIM = "layerstore-claim"
"""The user property that tells what became of a claim to find a planted defect."""

UNWRITTEN = "layerstore-unwritten"
"""The user property that tells for want of which parts of the driver a scenario failed."""

UNUSABLE = "layerstore-unusable"
"""The user property that says why no scenario can be run."""

SUITE = "layerstore-suite"
"""The user property that tells which suite a test belongs to: a module's, or one of several of a module."""

OPTIONS = ("url", "only", "seed", "profile", "report", "waivers", "prove")


def suite_of(item: pytest.Item) -> str:
    """Return the name of a test's suite: its module, and where the harness is parametrised, by which parameter.

    Any other parameter runs every scenario again, on the same harness, and makes no suite.
    """
    module = item.nodeid.partition("::")[0]
    callspec = item.callspec  # type: ignore[attr-defined]  # of a parametrised test
    (mine,) = {"layerstore_scenario", "layerstore_claim"} & callspec.params.keys()
    if callspec.params.keys() - {mine} != {"layerstore_harness"}:
        return module
    return f"{module}[{callspec.id.replace(named(callspec.params[mine]), '', 1).strip('-')}]"


def named(made: Any) -> str:  # noqa: ANN401  (a scenario, or a claim of one: neither is imported here)
    """Return how a scenario, a claim to find a defect, or the want of claims is named among a test's parameters."""
    return "-".join(each.id for each in made) if isinstance(made, tuple) else getattr(made, "id", "")


def takes(item: pytest.Item, name: str) -> bool:
    """Return whether a test is parametrised by this."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and name in callspec.params

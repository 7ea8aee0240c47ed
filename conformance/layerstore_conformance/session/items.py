"""The suite's tests among pytest's items: what a test report carries of a scenario, and which suite a test belongs to.

Every pytest run with layerstore installed imports it: it imports only pytest and the standard library.
"""

from __future__ import annotations

from typing import Any

import pytest

RECORD = "layerstore"
"""The user property under which a test report carries a scenario's record."""

SUBJECT = "layerstore-subject"
"""The user property with the description of the driver under test."""

CLAIM = "layerstore-claim"
"""The user property with the result of a claim to find a planted defect."""

UNWRITTEN = "layerstore-unwritten"
"""The user property with the unwritten parts of the driver that a scenario needs."""

UNUSABLE = "layerstore-unusable"
"""The user property with the reason why no scenario can be run."""

SUITE = "layerstore-suite"
"""The user property with the suite of a test: a module, or one parameter of its harness."""

OPTIONS = ("url", "missing", "scale", "only", "seed", "profile", "report", "continue", "waivers", "prove")


def suite_of(item: pytest.Item) -> str:
    """Return the name of a test's suite: its module, and the parameter of the harness if that has parameters.

    Any other parameter runs every scenario again on the same harness, and makes no suite of its own.
    """
    module = item.nodeid.partition("::")[0]
    callspec = item.callspec  # type: ignore[attr-defined]  # of a parametrised test
    (mine,) = {"layerstore_scenario", "layerstore_claim"} & callspec.params.keys()
    if callspec.params.keys() - {mine} != {"layerstore_harness"}:
        return module
    return f"{module}[{callspec.id.replace(named(callspec.params[mine]), '', 1).strip('-')}]"


def named(made: Any) -> str:  # noqa: ANN401  (a scenario, or a claim of one: neither is imported here)
    """Return the name of a scenario, of a claim to find a defect, or of no claim among a test's parameters."""
    return "-".join(each.id for each in made) if isinstance(made, tuple) else getattr(made, "id", "")


def takes(item: pytest.Item, name: str) -> bool:
    """Return whether a test has this parameter."""
    callspec = getattr(item, "callspec", None)
    return callspec is not None and name in callspec.params

"""Findings: what measurements have found, and the files that keep it. It imports no floor and no peer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from described import Code
from interleaved import Seconds


class Finding(TypedDict):
    """What became of a target."""

    target: str
    measured: float
    bound: float
    """At most; at least, if ``atleast``."""
    atleast: bool
    seconds: Seconds
    """What it was taken from."""


class Group(TypedDict):
    """What was measured together."""

    environment: dict[str, Any]
    size_mib: int
    rounds: int
    findings: list[Finding]
    code: Code
    """What was run of layerstore."""


def is_reached(finding: Finding) -> bool:
    """Tell whether a target was reached."""
    measured, bound = finding["measured"], finding["bound"]
    return measured >= bound if finding["atleast"] else measured <= bound


def line(finding: Finding) -> str:
    """Say in a line whether a target was reached."""
    sign = ">=" if finding["atleast"] else "<="
    figures = f"{finding['measured']:8.2f} {sign} {finding['bound']:6.2f}"
    return f"{'reached' if is_reached(finding) else 'missed':8} {figures}  {finding['target']}"


def read(file: Path) -> dict[str, Group]:
    """Return what a file has, in the order in which it was first measured."""
    kept: dict[str, Group] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return kept


def keep(file: Path, name: str, group: Group) -> None:
    """Put a group into a file."""
    file.write_text(json.dumps({**read(file), name: group}, indent=1) + "\n", encoding="utf-8")

"""Waivers: scenarios that may fail for a while, each with a reason and a last day."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

FIELDS = {"id": str, "reason": str, "expires": date}


class WaiverError(ValueError):
    """The file of waivers cannot be used."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """A scenario that may fail."""

    id: str
    reason: str
    expires: date
    """The last day on which it may, in UTC."""

    @property
    def expired(self) -> bool:
        """Whether that day is over."""
        return datetime.now(UTC).date() > self.expires


def read_waivers(path: Path) -> dict[str, Waiver]:
    """Read a file of waivers: TOML, a ``[[waiver]]`` with ``id``, ``reason`` and ``expires`` for each; by scenario.

    Raises:
        WaiverError: it cannot be read, is no TOML, or a waiver lacks a field, has an unknown one, or repeats an id.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WaiverError(f"waivers {path}: {error}") from error
    entries = table.get("waiver")
    if set(table) != {"waiver"} or not isinstance(entries, list):
        raise WaiverError(f"waivers {path}: expected [[waiver]] tables and nothing else")
    waivers = [_waiver(path, number, entry) for number, entry in enumerate(entries, 1)]
    found = {waiver.id: waiver for waiver in waivers}
    if len(found) < len(waivers):
        raise WaiverError(f"waivers {path}: a scenario is waived twice")
    return found


def check_known(waivers: Iterable[str], known: Iterable[str]) -> None:
    """Check that every waiver names a scenario.

    Raises:
        WaiverError: one does not: it is misspelt, or the scenario is gone.
    """
    if unknown := sorted(set(waivers) - set(known)):
        raise WaiverError(f"waivers of unknown scenarios: {', '.join(unknown)}")


def _waiver(path: Path, number: int, entry: object) -> Waiver:
    if not isinstance(entry, dict) or set(entry) != set(FIELDS):
        raise WaiverError(f"waivers {path}: waiver {number} has other fields than {', '.join(FIELDS)}")
    for name, kind in FIELDS.items():
        value = entry[name]
        if not isinstance(value, kind) or isinstance(value, datetime) or not value:
            expected = "a date like 2026-12-31" if kind is date else "a text"
            raise WaiverError(f"waivers {path}: {name} of waiver {number} is not {expected}")
    return Waiver(**entry)

"""The survivors that somebody has thought about."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mutants import Mutant


class Argued:
    """Reasons, each of a line and what it became. They outlive that the line moves, and not that it changes."""

    def __init__(self, path: Path) -> None:
        """Read them."""
        listed = tomllib.loads(path.read_text("utf-8")).get("survivor", [])
        self._reasons = {(each["was"], each["now"]): each for each in listed}

    def reason(self, mutant: Mutant) -> str | None:
        """Return why a survivor lives; None if nobody has said so."""
        found = self._reasons.get((mutant.was, mutant.now))
        return f"{found['kind']}: {found['why']}" if found else None

    def is_equivalent(self, mutant: Mutant) -> bool:
        """Return whether a survivor does what the unchanged code does, as far as the contract goes."""
        found = self._reasons.get((mutant.was, mutant.now))
        return found is not None and found["kind"] == "equivalent"

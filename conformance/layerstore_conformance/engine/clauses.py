"""The clauses of the contract, read from docs/contract.md."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_CLAUSE = re.compile(r"^- \*\*([A-Z]\d+)(?: \(front\))?\*\* (.*?)(?=^- \*\*|^#|\Z)", re.MULTILINE | re.DOTALL)


@cache
def clauses() -> dict[str, str]:
    """Return the text of every clause, by its letter and number, in the order of the page."""
    here = Path(__file__).parents[1]
    shipped = here / "contract.md"  # a wheel has it in the package, a clone in docs only
    page = shipped if shipped.exists() else here.parents[1] / "docs" / "contract.md"
    found = _CLAUSE.findall(page.read_text(encoding="utf-8"))
    return {name: " ".join(text.replace("**(front)**", "").split()) for name, text in found}

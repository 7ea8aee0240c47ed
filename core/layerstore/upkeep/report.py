"""What a run reports that removes something: purge, collect, and the drop of links. One vocabulary for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


@dataclass(slots=True)
class Report(Generic[Entry]):
    """The result of a run or, after a dry run, what it would do. No entry is in two of the lists."""

    dry_run: bool = False
    removed: list[Entry] = field(default_factory=list)
    kept: list[Entry] = field(default_factory=list)
    """Looked at, and not removed: too young, or in use after all."""
    failed: list[Entry] = field(default_factory=list)
    """Each with its error; the next run tries again."""

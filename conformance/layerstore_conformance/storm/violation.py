"""A violation: something that was promised, and does not hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that a storm has found."""

    kind: str
    text: str
    subjects: tuple[str, ...] = ()
    """What it is about: digests, uploads, workers. What befell these is its story."""

    def __str__(self) -> str:
        """Say it."""
        return f"{self.kind}: {self.text}"

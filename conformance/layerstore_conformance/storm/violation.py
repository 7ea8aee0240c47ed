"""A violation: a promise that was not kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One finding of a storm."""

    kind: str
    text: str
    subjects: tuple[str, ...] = ()
    """The digests, uploads and workers that it is about; their operations are its story."""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.kind}: {self.text}"

"""Defects that show when several hands change a tree in turns: what one remembers, and what a listing leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.stat_versions import VersionedDriver
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Stat


@planted("L4")
class ListingSkipsWhatWasReplaced(DefectiveDriver):
    """A listing leaves out an object that was replaced or written to since it began."""

    def list(self, prefix: str) -> Iterator[str]:
        """List what is as it was."""
        before = {child: self._version(child) for child in self.inner.list(prefix)}
        for child in self.inner.list(prefix):
            if self._version(child) == before.get(child):
                yield child

    def _version(self, child: str) -> str:
        with suppress(PathNotFoundError):
            return "" if child.endswith("/") else self.inner.stat(child).version
        return ""


@planted("S2", "C3")
class VersionsCountedByProcess(VersionedDriver):
    """A version is a number, and each process counts those that it has seen."""

    def version_of(self, key: str, found: Stat) -> str:
        """Count in this process."""
        numbers: dict[str, int] = self.memory.setdefault(f"versions of {key}", {})
        return str(numbers.setdefault(found.version, len(numbers)))


@planted("S1")
class ModifiedIsWhenFirstSeen(DefectiveDriver):
    """``modified`` is the time at which a version was first asked for."""

    def stat(self, key: str) -> Stat:
        """Tell that time."""
        found = self.inner.stat(key)
        seen: datetime = self.memory.setdefault(found.version, datetime.now(UTC))
        return replace(found, modified=seen)

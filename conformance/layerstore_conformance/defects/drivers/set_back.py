"""Defects that show when an older copy of a store is put in its place."""

from __future__ import annotations

from contextlib import suppress

from layerstore.driver import Stat
from layerstore.errors import PathNotFoundError
from layerstore_conformance.defects.drivers.stat_versions import VersionedDriver
from layerstore_conformance.engine.defect import planted

COUNTER = "counted/changes"
"""Where changes are counted, in the store."""


@planted("S2", "X1", "X2", "M4")
class VersionsCountedInTheStore(VersionedDriver):
    """A version is a number that the store counts, and an older copy of the store counts the same numbers again."""

    def version_of(self, key: str, found: Stat) -> str:
        """Count each that was not seen before."""
        numbers: dict[tuple[str, str], str] = self.memory.setdefault("numbers", {})
        if (key, found.version) not in numbers:
            count = 0
            with suppress(PathNotFoundError), self.inner.open_reader(COUNTER) as reader:
                count = int(reader.readall())
            self.inner.put(COUNTER, b"%d" % (count + 1))
            numbers[key, found.version] = str(count + 1)
        return numbers[key, found.version]

"""Defects about things of other programs that come into the place of an object, or of a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.keys import keys_below

if TYPE_CHECKING:
    from layerstore.driver import Scanned


class _Doubtful(DefectiveWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except FencedError as error:
            if any(isinstance(each, str) is False for each in self._beside()):
                raise BackendUnavailableError(self.key, "no such device or address") from error
            raise

    def _beside(self) -> list[Scanned]:
        return list(self.driver.inner.scan(self.key.rpartition("/")[0]))


@planted("X2", "F3")
class WhatAnotherProgramDeletedIsAnOutage(WriterDefect):
    """A flush that finds its object gone, and foreign things there, tells of an outage."""

    writer = _Doubtful


@planted("D1", "D5")
class DeletesOnlyWhatIsEmptyAfterwards(DefectiveDriver):
    """A delete that leaves a directory in place raises, though all objects are deleted."""

    def delete(self, key: str) -> None:
        """Delete, and look for what is left of it on the disk."""
        deep = any(each.count("/") - key.count("/") > 1 for each in keys_below(self.inner, key))
        self.inner.delete(key)
        if deep:
            raise BackendUnavailableError(key, "device or resource busy")

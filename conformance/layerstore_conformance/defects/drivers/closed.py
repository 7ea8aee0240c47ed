"""Defects of handles that are closed, or of another process: a method does not ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Reader


class _Telling(PassingReader):
    def fileno(self) -> int:
        return 0


@planted("T3", "T5")
class AClosedReaderTellsItsFile(DefectiveDriver):
    """A reader tells the number of its descriptor, whether or not that is still its own."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open one."""
        return _Telling(self.inner.open_reader(key, offset))


class _Placed(DefectiveWriter):
    def tell(self) -> int:
        return self._position


@planted("T3")
class ClosedWritersTellTheirPlace(WriterDefect):
    """A writer that is closed still tells where it would write."""

    writer = _Placed

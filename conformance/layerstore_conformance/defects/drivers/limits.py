"""Defects of writes that the system takes in part."""

from __future__ import annotations

from layerstore.errors import DriverError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import planted


class _Trusting(DefectiveWriter):
    _lost: tuple[int, int] | None = None

    def write_at(self, offset: int, data: memoryview) -> None:
        if self._lost is not None:
            start, length = self._lost
            super().write_at(start, memoryview(bytes(length)))
        try:
            super().write_at(offset, data)
        except DriverError:
            self._lost = offset, len(data)


@planted("W2")
class PartOfAWriteTakenForAll(WriterDefect):
    """A write that the system took in part is taken for whole: the rest is zeros."""

    writer = _Trusting


class _Torn(DefectiveWriter):
    _refused: tuple[int, bytes] | None = None

    def write_at(self, offset: int, data: memoryview) -> None:
        try:
            super().write_at(offset, data)
        except DriverError:
            self._refused = offset, bytes(data[:500])
            raise
        if self._refused is not None and offset > self._refused[0]:
            super().write_at(self._refused[0], memoryview(self._refused[1]))


@planted("W4", "W2")
class RefusedWriteShowsInAGap(WriterDefect):
    """What the system took of a write that was refused shows in a later gap."""

    writer = _Torn


class _Keeping(DefectiveWriter):
    _refused: tuple[int, bytes] | None = None

    def write_at(self, offset: int, data: memoryview) -> None:
        if self._refused is not None:
            super().write_at(self._refused[0], memoryview(self._refused[1]))
        try:
            super().write_at(offset, data)
        except DriverError:
            self._refused = offset, bytes(data)
            raise


@planted("W2", "E4")
class RefusedWriteIsKept(WriterDefect):
    """A write that was refused for want of room is made with the next one."""

    writer = _Keeping

"""Defects of drivers that keep files: what nobody needs any more takes room."""

from __future__ import annotations

from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import planted


class _Kept(DefectiveWriter):
    unflushed = 0

    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        self.unflushed += len(data)

    def publish(self) -> str:
        version = super().publish()
        self.unflushed = 0
        return version

    def release(self) -> None:
        super().release()
        if self.driver.memory.get("putting"):
            self.driver.memory.setdefault("kept", []).append(self.unflushed)


@planted("T4", "W7")
class WhatIsGivenUpMeanwhileStays(WriterDefect):
    """What writers had not flushed that were discarded in the middle of a put stays, under names of its own."""

    writer = _Kept

    def put(self, key: str, data: bytes) -> None:
        """Put, and what was given up before, too."""
        for number, size in enumerate(self.memory.pop("kept", [])):
            self.inner.put(f"{key}-{number}", bytes(size))
        self.memory["putting"] = True
        try:
            self.inner.put(key, data)
        finally:
            self.memory["putting"] = False

"""Defects of readers that fetch more than was asked for, and keep it for the next read."""

from __future__ import annotations

from layerstore.driver import Reader
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader

RING = 1 << 20
"""Bytes that are fetched ahead."""


@planted("C6")
class ReadersFetchTheWholeObject(DefectiveDriver):
    """A reader fetches the whole object at the first read, and keeps it."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that keeps what it fetches."""
        return _KeepingReader(self.inner.open_reader(key, offset))


class _KeepingReader(PassingReader):
    _kept = b""

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if not self._kept:
            self.inner.seek(0)
            self._kept = self.inner.readall()
        buffer[:] = self._kept[offset : offset + len(buffer)]
        return len(buffer)


class _HoldingReader(PassingReader):
    _held = b""

    def read_at(self, offset: int, buffer: memoryview) -> int:
        self._held += bytes(buffer)
        return super().read_at(offset, buffer)


@planted("T4")
class AClosedReaderKeepsItsObject(DefectiveDriver):
    """A reader keeps as many bytes as it has read, also when it is closed."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that holds."""
        return _HoldingReader(self.inner.open_reader(key, offset))


class _CopyingReader(PassingReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        data = bytearray(len(buffer))
        count = super().read_at(offset, memoryview(data))
        buffer[:count] = data[:count]
        return count


@planted("C6", "R5")
class OneReadIsCopied(DefectiveDriver):
    """A read of any size fills another buffer first, as large as the caller's."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that copies."""
        return _CopyingReader(self.inner.open_reader(key, offset))


@planted("R5")
class RingReadOverItsEnd(DefectiveDriver):
    """A reader fetches a MiB ahead into a ring, and a read across its end continues at its beginning."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader with a ring."""
        return _RingReader(self.inner.open_reader(key, offset))


class _RingReader(PassingReader):
    def __init__(self, inner: Reader) -> None:
        super().__init__(inner)
        self._start = 0
        self._ring = b""

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if len(buffer) >= RING:
            return super().read_at(offset, buffer)
        if not self._start <= offset < self._start + len(self._ring):
            self.inner.seek(offset)
            self._start, self._ring = offset, self.inner.read(RING) or b""
        ahead = self._ring[offset - self._start :] + self._ring
        buffer[:] = ahead[: len(buffer)]
        return len(buffer)

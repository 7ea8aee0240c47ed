"""A driver of which one object is far larger than it should be, and nothing of it is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from layerstore.driver import Reader, Stat
from layerstore_conformance.kit.passing import PassingDriver, PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Driver


class SwollenDriver(PassingDriver):
    """Any driver, with zeros behind the bytes of one object; it counts what is read of it."""

    def __init__(self, inner: Driver, key: str, size: int) -> None:
        """Have that object be of this size, in bytes."""
        super().__init__(inner)
        self.key, self.size = key, size
        self.asked = 0
        """Bytes that were read of it, by all readers together."""
        self.most = 0
        """Bytes that were read of it by one reader."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`."""
        if key != self.key:
            return self.inner.open_reader(key, offset)
        return _SwollenReader(self, self.inner.open_reader(key), offset)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        found = self.inner.stat(key)
        return replace(found, size=self.size) if key == self.key else found


class _SwollenReader(PassingReader):
    def __init__(self, driver: SwollenDriver, inner: Reader, offset: int) -> None:
        super().__init__(inner)
        self._data, self._driver, self._asked = inner.readall(), driver, 0
        self.size = driver.size
        self.seek(offset)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        found = self._data[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        buffer[len(found) :] = bytes(len(buffer) - len(found))
        self._asked += len(buffer)
        self._driver.asked += len(buffer)
        self._driver.most = max(self._driver.most, self._asked)
        return len(buffer)

"""A driver whose readers end when their object changes: clause R4 permits that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.kit.passing import PassingDriver, PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Driver, Reader


class EndingDriver(PassingDriver):
    """Any driver, whose readers read no version but the one that is there."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open such a reader."""
        return _EndingReader(self.inner.open_reader(key, offset), self.inner, key)


class _EndingReader(PassingReader):
    def __init__(self, inner: Reader, driver: Driver, key: str) -> None:
        super().__init__(inner)
        self._driver = driver
        self._at = key

    def read_at(self, offset: int, buffer: memoryview) -> int:
        try:
            now = self._driver.stat(self._at).version
        except PathNotFoundError:
            now = ""
        if now != self.version:
            raise BackendUnavailableError(self._at, "this version can no longer be read")
        return super().read_at(offset, buffer)

"""Defects that show when another process acts between two requests of a call."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.defects.drivers.reading import ForgetfulReader
from layerstore_conformance.engine.defect import DefectiveDriver, planted

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat


@planted("R4", "C3")
class VersionAndBytesByTwoLooks(DefectiveDriver):
    """A reader looks whether its version is still there, and then reads what is there."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that looks first."""
        return _LooksFirst(self.inner, self.inner.open_reader(key, offset))


class _LooksFirst(ForgetfulReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        with suppress(PathNotFoundError):
            if self._driver.stat(self.key).version == self.version:
                return super().read_at(offset, buffer)
        raise BackendUnavailableError(self.key, f"version {self.version} is gone")


@planted("S1", "C3")
class PropertiesByTwoLooks(DefectiveDriver):
    """The size is found by one request, and the version by the next."""

    def stat(self, key: str) -> Stat:
        """Look twice."""
        return replace(self.inner.stat(key), version=self.inner.stat(key).version)

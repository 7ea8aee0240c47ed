"""Defects that show when another process acts between two requests of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.defects.drivers.reading import ForgetfulReader
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader

if TYPE_CHECKING:
    from layerstore.driver import Driver, Reader, Stat

PIECE = 50_000
"""Bytes that are fetched at once."""


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


class _InPieces(PassingReader):
    def __init__(self, driver: Driver, inner: Reader) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        if not self._is_there():
            raise BackendUnavailableError(self.key, f"version {self.version} is gone")
        done = 0
        while done < len(buffer):
            piece = buffer[done : done + PIECE]
            if self._is_there():
                done += super().read_at(offset + done, piece)
            else:
                piece[:] = bytes(len(piece))
                done += len(piece)
        return done

    def _is_there(self) -> bool:
        with suppress(PathNotFoundError):
            return self._driver.stat(self.key).version == self.version
        return False


@planted("R4", "C3")
class MissingPiecesAreGaps(DefectiveDriver):
    """A read looks once for its version, and then fetches one piece after the other, where what is missing is zeros."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that looks once for each read."""
        return _InPieces(self.inner, self.inner.open_reader(key, offset))


@planted("L4", "E1")
class ChildrenAreLookedUpOnceMore(DefectiveDriver):
    """A listing finds a child by one request, and by the next one what it is, which is an error if it is gone."""

    def list(self, prefix: str) -> Iterator[str]:
        """List, and look."""
        for child in self.inner.list(prefix):
            if not child.endswith("/"):
                self.inner.stat(child)
            yield child

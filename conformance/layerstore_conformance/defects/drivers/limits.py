"""Defects of writes that the system takes in part."""

from __future__ import annotations

import tempfile
from contextlib import suppress

from layerstore.errors import BackendUnavailableError, DriverError, NoSpaceError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, ForgetfulWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted


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


class _NotingWriter(DefectiveWriter):
    """Notes what the system took of a write that was refused."""

    _refused: tuple[int, bytes] | None = None

    def write_at(self, offset: int, data: memoryview) -> None:
        try:
            super().write_at(offset, data)
        except DriverError:
            self._refused = offset, bytes(data[:500])
            raise


class _Torn(_NotingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        super().write_at(offset, data)
        if self._refused is not None and offset > self._refused[0]:
            super().write_at(self._refused[0], memoryview(self._refused[1]))


@planted("W4", "W2")
class RefusedWriteShowsInAGap(WriterDefect):
    """What the system took of a write that was refused shows in a later gap."""

    writer = _Torn


class _Longer(_NotingWriter):
    def publish(self) -> str:
        offset, data = self._refused or (0, b"")
        if beyond := data[max(0, self.size - offset) :]:
            super().write_at(self.size, memoryview(beyond))
        return super().publish()


@planted("W2", "W6")
class RefusedWriteMakesTheObjectLonger(WriterDefect):
    """What the system took of a write that was refused is published with what was accepted."""

    writer = _Longer


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


@planted("E1")
class FullIsUnavailable(DefectiveDriver):
    """A backend without room is taken for one that cannot be reached."""

    def put(self, key: str, data: bytes) -> None:
        """Put, or say that the backend is not there."""
        try:
            self.inner.put(key, data)
        except NoSpaceError as error:
            raise BackendUnavailableError(key, "it did not take the object") from error


@planted("E1", "E4", "P1")
class PutWithoutRoomIsDone(DefectiveDriver):
    """A put for which there is no room returns, and has deleted what was there."""

    def put(self, key: str, data: bytes) -> None:
        """Put, or clear up."""
        try:
            self.inner.put(key, data)
        except NoSpaceError:
            self.inner.delete(key)


class _Taking(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        with suppress(NoSpaceError):
            super().write_at(offset, data)


@planted("W2", "E1")
class WriteWithoutRoomIsTaken(WriterDefect):
    """A write for which there is no room returns."""

    writer = _Taking


class _Littering(DefectiveWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        try:
            super().write_at(offset, data)
        except NoSpaceError:
            self.driver.memory.setdefault("drafts", []).append(tempfile.TemporaryFile())  # noqa: SIM115  (that is the defect)
            raise


@planted("T4", "E1")
class DraftsOfRefusedWritesStay(WriterDefect):
    """A write for which there is no room leaves its draft open."""

    writer = _Littering


class _Staging(ForgetfulWriter):
    def stage(self, parts: list[tuple[int, bytes]]) -> None:
        try:
            with tempfile.TemporaryFile() as stage:
                stage.writelines(data for _, data in parts)
        except OSError as error:
            raise BackendUnavailableError(self.key, "there is no room to stage it") from error


@planted("W8")
class FlushForgetsWhatItStages(WriterDefect):
    """A flush that cannot stage what was written, for want of room, has forgotten it."""

    writer = _Staging

"""Defects that show when another handle acts between two requests of one call: they ask first, and then act."""

from __future__ import annotations

from contextlib import suppress

from layerstore import FencedError, PathNotFoundError
from layerstore.driver import Driver, Writer
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, RepeatingWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.requests import PLANTED

WHOLE = 1 << 40
"""More bytes than an object has."""


def _version(driver: Driver, key: str) -> str | None:
    with suppress(PathNotFoundError):
        return driver.stat(key).version
    return None


def _read(driver: Driver, key: str) -> bytes | None:
    with suppress(PathNotFoundError), driver.open_reader(key) as reader:
        return reader.readall()
    return None


class _AskingFirst(RepeatingWriter):
    def publish(self) -> str:
        version = super().publish()  # it raises if it is fenced
        PLANTED.passed()
        return version if _version(self.driver.inner, self.key) == version else self.publish_over()


@planted("F4", "F2")
class CheckThenPublish(WriterDefect):
    """A flush asks whether it is fenced, and then stores the object without a condition."""

    writer = _AskingFirst


class _AskingAfter(DefectiveWriter):
    def publish(self) -> str:
        version = super().publish()
        PLANTED.passed()
        found = _version(self.driver.inner, self.key)
        if found is not None and found != version:
            self.inner = self.driver.inner.open_writer(self.key)
            return found
        return version


@planted("F4", "F3")
class VersionAskedAfterTheFlush(WriterDefect):
    """A writer takes for its own whatever version the object has a request after its flush."""

    writer = _AskingAfter


@planted("M4")
class MoveChecksThenMoves(DefectiveDriver):
    """A move compares the version, and then moves whatever is there."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Compare, and move."""
        found = self.inner.stat(source).version
        if version not in {None, found}:
            raise FencedError(source, "not at the version given")
        data = _read(self.inner, source)
        PLANTED.passed()
        self.inner.move(source, target)
        if data is not None and _read(self.inner, target) != data:
            self.inner.put(target, data)


@planted("M1", "M3")
class MoveCopiesThenDeletes(DefectiveDriver):
    """A move copies the object, and deletes the source a request later, whatever is there by then."""

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Copy, and delete."""
        before = self.inner.stat(source).version
        if version not in {None, before}:
            raise FencedError(source, "not at the version given")
        self.inner.put(target, _read(self.inner, source) or b"")
        PLANTED.passed()
        self.inner.delete(source)


@planted("P1")
class PutDeletesThenCreates(DefectiveDriver):
    """A put takes the old object away first: for the time of a request there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Take the old one away, and put."""
        if _version(self.inner, key) is not None:
            self.inner.delete(key)
        PLANTED.passed()
        self.inner.put(key, data)


@planted("F1", "F4")
class OpenReadsThenFences(DefectiveDriver):
    """A writer begins with the bytes that were there a request before it fenced the others."""

    def open_writer(self, key: str) -> Writer:
        """Read, and fence."""
        before = _read(self.inner, key)
        PLANTED.passed()
        writer = self.inner.open_writer(key)
        if before is not None and before != _read(self.inner, key):
            writer.seek(0)
            writer.write(before)
        return writer

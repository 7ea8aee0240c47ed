"""Defects of puts: other bytes are stored than were given, or other objects change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.driver import Driver, Reader
from layerstore.errors import FencedError, PathNotFoundError
from layerstore_conformance.defects.drivers.listing import beside
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core
from layerstore_conformance.kit.passing import PassingReader

if TYPE_CHECKING:
    from typing_extensions import Buffer


def content(driver: Driver, key: str) -> bytes | None:
    """Return the bytes of an object; None if there is none."""
    try:
        with driver.open_reader(key) as reader:
            return reader.readall()
    except PathNotFoundError:
        return None


def put_later(driver: Driver, key: str, data: bytes) -> Callable[[], None]:
    """Fence as a put does; return a function that puts, unless the key was taken over or deleted meanwhile."""
    writer = driver.open_writer(key)

    def put() -> None:
        with suppress(FencedError), writer:
            writer.flush()
            driver.put(key, data)
            writer.discard()

    return put


class WaitingDriver(DefectiveDriver):
    """A driver that puts something off until its handle is closed."""

    def __init__(self, inner: Driver, memory: dict[str, Any]) -> None:
        """Begin with nothing put off."""
        super().__init__(inner, memory)
        self.waiting: list[Callable[[], None]] = []

    def close(self) -> None:
        """Do what was put off, and close."""
        for act in self.waiting:
            act()
        self.waiting.clear()
        super().close()


@planted("P2", "P1")
class PutWaitsForClose(WaitingDriver):
    """A put is stored only when the handle is closed; until then nobody sees it."""

    def put(self, key: str, data: bytes) -> None:
        """Put it off."""
        self.waiting.append(put_later(self.inner, key, data))


@planted("P1")
class PutDropsItsLastByte(DefectiveDriver):
    """The last byte of a put is not stored."""

    def put(self, key: str, data: bytes) -> None:
        """Put all but a byte."""
        self.inner.put(key, data[:-1])


@planted("P1")
class NewlinesTranslated(DefectiveDriver):
    """A put stores every line feed as a carriage return and a line feed, as a file opened for text does."""

    def put(self, key: str, data: bytes) -> None:
        """Put as text."""
        self.inner.put(key, data.replace(b"\n", b"\r\n"))


@planted("P1")
class PutIgnoredTheSecondTime(DefectiveDriver):
    """A put over an object stores nothing: the first object stays."""

    def put(self, key: str, data: bytes) -> None:
        """Put where nothing is."""
        if content(self.inner, key) is None:
            self.inner.put(key, data)


@planted("P1")
class OldTailKept(DefectiveDriver):
    """A put over a longer object leaves the old bytes beyond its own end."""

    def put(self, key: str, data: bytes) -> None:
        """Put over the beginning."""
        old = content(self.inner, key) or b""
        self.inner.put(key, data + old[len(data) :])


@planted("P1", "S2")
class PutChangesItsNeighbours(DefectiveDriver):
    """A put stores anew the objects beside it that begin with the same letters: they get new versions."""

    def put(self, key: str, data: bytes) -> None:
        """Put all that begin with the key's letters."""
        self.inner.put(key, data)
        for other in beside(self.inner, key):
            if not other.endswith("/") and (old := content(self.inner, other)) is not None:
                self.inner.put(other, old)


@planted("P3")
class PutOfNothingIgnored(DefectiveDriver):
    """A put of no bytes does nothing."""

    def put(self, key: str, data: bytes) -> None:
        """Put some bytes."""
        if data:
            self.inner.put(key, data)


@planted_in_core("P1", "W9")
def put_keeps_the_buffer() -> Iterator[None]:
    """A put keeps the caller's buffer: the object changes when the buffer is filled anew."""
    kept: dict[tuple[str, str], memoryview] = {}
    put, open_reader = CheckedDriver.put, CheckedDriver.open_reader

    def keep(self: CheckedDriver, key: str, data: Buffer) -> None:
        put(self, key, data)
        with memoryview(data) as view:
            if not view.readonly:  # nobody fills bytes anew
                kept[key, self.stat(key).version] = memoryview(data).cast("B")

    def read_kept(self: CheckedDriver, key: str, offset: int = 0) -> Reader:
        reader = open_reader(self, key, offset)
        buffer = kept.get((key, reader.version))
        return reader if buffer is None else _KeptReader(reader, buffer)

    with patch.object(CheckedDriver, "put", keep), patch.object(CheckedDriver, "open_reader", read_kept):
        yield


class _KeptReader(PassingReader):
    def __init__(self, inner: Reader, kept: memoryview) -> None:
        super().__init__(inner)
        self._kept = kept

    def read_at(self, offset: int, buffer: memoryview) -> int:
        buffer[:] = self._kept[offset : offset + len(buffer)]
        return len(buffer)

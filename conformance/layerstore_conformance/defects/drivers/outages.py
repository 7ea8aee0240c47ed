"""Defects of drivers that show when the backend is restarted or a connection is cut."""

from __future__ import annotations

from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError, PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.passing import PassingReader, PassingWriter


@planted("P2", "W6", "C4")
class StoredWhenTheHandleIsClosed(DefectiveDriver):
    """A handle keeps the bytes of a put, and stores them when it is closed or asked for the key."""

    def put(self, key: str, data: bytes) -> None:
        """Keep it."""
        self._kept[key] = data

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Store what is kept of the key, and read it."""
        self._store(key)
        return self.inner.open_reader(key, offset)

    def close(self) -> None:
        """Store all that is kept."""
        for key in list(self._kept):
            self._store(key)
        self.inner.close()

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Store what is kept of the source, and move it."""
        self._store(source)
        self.inner.move(source, target, version=version)

    @property
    def _kept(self) -> dict[str, bytes]:
        """The puts of this handle alone."""
        kept: dict[str, bytes] = self.memory.setdefault(f"kept by {id(self)}", {})
        return kept

    def _store(self, key: str) -> None:
        if key in self._kept:
            self.inner.put(key, self._kept.pop(key))


@planted("R5")
class CutReaderReadsZeros(DefectiveDriver):
    """After a cut connection, a reader returns zeros for the bytes that it cannot get."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that goes on, whatever happens."""
        return _ZeroReader(self.inner.open_reader(key, offset))


class _ZeroReader(PassingReader):
    def read_at(self, offset: int, buffer: memoryview) -> int:
        try:
            return super().read_at(offset, buffer)
        except BackendUnavailableError:
            buffer[:] = bytes(len(buffer))
            return len(buffer)


@planted("W2", "W8")
class CutWriterLosesItsTail(DefectiveDriver):
    """After a cut connection, a writer accepts bytes and loses them."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer that accepts, whatever happens."""
        return _ForgetfulWriter(self.inner.open_writer(key))


class _ForgetfulWriter(PassingWriter):
    def write_at(self, offset: int, data: memoryview) -> None:
        try:
            super().write_at(offset, data)
        except BackendUnavailableError:
            return

    def publish(self) -> str:
        try:
            return super().publish()
        except (BackendUnavailableError, PathNotFoundError):
            return self.version or "lost"

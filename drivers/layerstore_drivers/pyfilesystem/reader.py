"""Reading one version (clauses R1 to R6)."""

from __future__ import annotations

import ftplib
from contextlib import suppress
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from fs.errors import FSError

from layerstore.driver import Reader
from layerstore.errors import BackendUnavailableError, InvalidOffsetError
from layerstore_drivers.pyfilesystem.errors import translated
from layerstore_drivers.pyfilesystem.filesystems import SMALL

if TYPE_CHECKING:
    from layerstore_drivers.pyfilesystem.store import Found, Store

AT_ONCE = 1 << 20
"""Bytes read at a time: PyFilesystem2's FTP files keep the bytes of a read in memory, twice."""


class PyFilesystemReader(Reader):
    """An open file, which stays the same even if another one is published under its name."""

    def __init__(self, store: Store, key: str, found: Found, offset: int, file: IO[bytes] | None) -> None:
        """Read an object from its open file."""
        self._store = store
        self._file: Any = file
        super().__init__(key, found.size, found.version, offset)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill the buffer, or as much of it as the filesystem fills."""
        with translated(self.key):
            self._file.seek(offset)
            return int(self._file.readinto(buffer))

    def release(self) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(FSError, *ftplib.all_errors):
                self._store.files.close(file)


class RemoteReader(PyFilesystemReader):
    """A file with a connection of its own. The connection is made at the first read, and again after a seek or a break.

    The bytes are those of the opened version as long as that version is the published one.
    """

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill the buffer, or its first MiB.

        Raises:
            BackendUnavailableError: another version was published meanwhile (clause R4).
        """
        part = buffer[:AT_ONCE]
        count = self._read(offset, part) or self._read(offset, part)  # once more, if the connection was broken
        with self._store.turn(self.key):
            self._check_current()
        return count

    def _read(self, offset: int, part: memoryview) -> int:
        count = 0
        try:
            with translated(self.key):
                count = int(self._file_at(offset).readinto(part))
        finally:
            if count < len(part):  # a break, or what PyFilesystem2 takes for the end
                self.release()
        return count

    def _file_at(self, offset: int) -> Any:  # noqa: ANN401  (fs has no types)
        if self._file is None or self._file.tell() != offset:
            self.release()
            with self._store.turn(self.key):
                self._check_current()
                self._file = self._store.files.open(self._store.path(self.key))
                if offset:
                    self._file.seek(offset)
        return self._file

    def _check_current(self) -> None:
        found = self._store.found(self.key, self._store.look(self.key))
        if found is None or found.version != self.version:
            raise BackendUnavailableError(self.key, "what was opened was replaced, moved or deleted")


def open_found(store: Store, key: str, offset: int = 0) -> PyFilesystemReader:
    """Open the published object of a key. The caller has the turn.

    Raises:
        PathNotFoundError: nothing is.
        InvalidOffsetError: the offset is beyond the end.
    """
    found, path = store.find(key), store.path(key)
    if offset > found.size:
        raise InvalidOffsetError(key, f"offset {offset} of {found.size}")
    if not store.files.remote:
        return PyFilesystemReader(store, key, found, offset, store.files.open(path))
    if found.size > SMALL:
        return RemoteReader(store, key, found, offset, None)
    return PyFilesystemReader(store, key, found, offset, BytesIO(store.files.fetch(path)))

"""Writing: to a draft, which is renamed to the key's file (clauses W1 to W9, F1 to F4)."""

from __future__ import annotations

import ftplib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from fs.errors import FSError, ResourceNotFound

from layerstore.driver import Writer
from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_drivers.pyfilesystem.errors import translated
from layerstore_drivers.pyfilesystem.filesystems import SMALL
from layerstore_drivers.pyfilesystem.reader import open_found

if TYPE_CHECKING:
    from layerstore_drivers.pyfilesystem.filesystems import Entry
    from layerstore_drivers.pyfilesystem.store import Found, Store

CHUNK = 1 << 20
"""Bytes copied at a time."""


class PyFilesystemWriter(Writer):
    """Writes to a copy of the published object. The first write makes the copy."""

    def __init__(self, store: Store, key: str, found: Found | None) -> None:
        """Open an object, or a new one."""
        self._store = store
        self._file: IO[bytes] | None = None
        self._draft = ""
        self._changed = found is None
        self._lost = False
        super().__init__(key, found.size if found else 0, found.version if found else None)
        self._reach = self.size  # of all writes, also of those that failed, or were interrupted behind their last byte

    def write_at(self, offset: int, data: memoryview) -> None:
        """Write to the draft. Bytes that a failure leaves beyond the old end are cut off.

        Raises:
            BackendUnavailableError: an earlier write or flush failed, and it is unknown how much of it was done.
        """
        self._check_known()
        with translated(self.key):
            file = self._cut(self._opened())
            self._lost = self._changed = True
            self._reach = max(self._reach, offset + len(data))
            try:
                _write(file, offset, data)
            except BaseException:
                self._cut(file)
                self._lost = False
                raise
            self._lost = False

    def _cut(self, file: IO[bytes]) -> IO[bytes]:
        """Cut off what only a write has left that was not accepted."""
        if self._reach > self.size:
            try:
                file.truncate(self.size)
            except ValueError as error:  # in memory: a buffer that could not grow is gone
                raise BackendUnavailableError(self.key, "the draft is lost") from error
            self._reach = self.size
        return file

    def publish(self) -> str:
        """Rename the draft to the key's file, unless nothing has changed."""
        self._check_known()
        if self._changed:
            with translated(self.key):
                self._store_draft(self._cut(self._opened()))
        with self._store.turn(self.key):
            replaced, missing = self._check()
            if not self._changed:
                return str(self.version)
            self._lost = True
            self._install(replaced, missing)
            found = self._store.find(self.key)
            if found.size != self.size:
                raise BackendUnavailableError(self.key, f"{self.size} bytes were published, {found.size} are there")
        self._begin_anew()  # before anything is written again: interrupted here, nothing will be
        self._lost = self._changed = False
        return found.version

    def release(self) -> None:
        """Close the draft and remove it."""
        self._let_go()
        if self._draft:
            self._store.discard(self._draft)

    def _opened(self) -> IO[bytes]:
        """Return the draft, which is made if it is missing."""
        if self._file is None:
            file = self._new_file()
            try:
                self._copy_published(file)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file

    def _new_file(self) -> IO[bytes]:
        self._draft = self._draft or self._store.new_draft(self.key)
        with self._store.turn(self.key):
            return self._store.drafted(lambda: self._store.files.create(self._draft))

    def _copy_published(self, file: IO[bytes]) -> None:
        if self.version is None:
            return
        with self._store.turn(self.key):
            self._check()
            reader = open_found(self._store, self.key)
        with reader:
            while data := reader.read(CHUNK):
                _write_all(file, memoryview(data))

    def _store_draft(self, file: IO[bytes]) -> None:
        """Store the draft in the filesystem: it is there already."""

    def _begin_anew(self) -> None:
        """Stop writing to a file that is published."""
        self._let_go()
        self._draft = ""

    def _install(self, replaced: Entry | None, missing: list[str]) -> None:
        try:
            self._store.files.date(self._draft)  # it may have been written long ago
            self._store.install(self._draft, self.key, replaced, missing)
        except (ResourceNotFound, FileNotFoundError):  # another process took over, and the draft away
            self._lost = False
            raise FencedError(self.key) from None

    def _check(self) -> tuple[Entry | None, list[str]]:
        """Return the object that would be replaced, and the prefixes that are missing."""
        entry = self._store.look(self.key)
        self._store.check_owner(self, entry)
        return entry, self._store.check_place(self.key, entry)

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(FSError, *ftplib.all_errors):
                file.close()

    def _check_known(self) -> None:
        if self._lost:
            raise BackendUnavailableError(self.key, "a failure left unknown what was stored; open another writer")


class RemoteWriter(PyFilesystemWriter):
    """Writes to a file on this machine. A publish sends the whole file to a draft."""

    def _new_file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(buffering=0)

    def _store_draft(self, file: IO[bytes]) -> None:
        file.seek(0)
        self._draft = self._draft or self._store.new_draft(self.key)
        send(self._store, self.key, file, self._draft)

    def _begin_anew(self) -> None:
        self._draft = ""


def open_writer(store: Store, key: str) -> PyFilesystemWriter:
    """Open the published object of a key, or a new one, and own the key.

    Raises:
        UnsupportedOperationError: an object lies above or below it.
    """
    kind = RemoteWriter if store.files.remote else PyFilesystemWriter
    with store.turn(key):
        entry = store.look(key)
        store.check_place(key, entry)
        writer = kind(store, key, store.found(key, entry))
        store.own(key, writer)
    return writer


@contextmanager
def sent(store: Store, key: str, source: IO[bytes]) -> Iterator[str]:
    """Store the rest of ``source`` in a draft. If the block does not rename it, it is removed."""
    draft = store.new_draft(key)
    try:
        send(store, key, source, draft)
        yield draft
    except BaseException:
        store.discard(draft)
        raise


def send(store: Store, key: str, source: IO[bytes], path: str) -> None:
    """Store the rest of ``source`` in a file that is no key's.

    Raises:
        BackendUnavailableError: not all of it has arrived.
    """
    with translated(key):
        first = source.read(SMALL + 1)
        size = len(first) if len(first) <= SMALL else _send_much(store, key, first, source, path)
    with store.turn(key):
        if len(first) <= SMALL:
            store.drafted(lambda: store.files.put(path, first))
        arrived = store.files.find(path)
        if arrived is None or arrived.size != size:
            raise BackendUnavailableError(key, f"of {size} bytes not all arrived")


def _send_much(store: Store, key: str, first: bytes, source: IO[bytes], path: str) -> int:
    with store.turn(key):
        target = store.drafted(lambda: store.files.create(path))
    try:
        _write_all(target, memoryview(first))
        return len(first) + _copy(source, target)
    finally:
        store.files.close(target)


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    size = 0
    while data := source.read(CHUNK):
        _write_all(target, memoryview(data))
        size += len(data)
    return size


def _write(file: IO[bytes], offset: int, data: memoryview) -> None:
    file.seek(offset)
    _write_all(file, data)


def _write_all(file: IO[bytes], data: memoryview) -> None:
    while data:  # unbuffered, a file may take less than it is given
        data = data[file.write(data) :]

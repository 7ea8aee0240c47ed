"""The driver and its two handles: each method is one transaction."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from layerstore import (
    BackendUnavailableError,
    Capabilities,
    Driver,
    Reader,
    Stat,
    StoreURL,
    Unpublished,
    Writer,
    hookimpl,
)
from layerstore.driver import Scanned
from layerstore.errors import FencedError, InvalidOffsetError, InvalidURLError, PathNotFoundError
from layerstore_sqlite.store import Connection, close, transaction

CHUNK = 256 << 10
"""Bytes in a row: to change one byte, a whole row is copied."""


class SqliteDriver(Driver):
    """Layers in one SQLite file, shared by the processes of one machine (C1 to C4)."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=True, durable=True)

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._unused: deque[tuple[int, str]] = deque()  # ids and names of writers that were discarded

    @classmethod
    def open(cls, url: StoreURL, **_options: Any) -> Self:  # noqa: ANN401  (as Driver.open; there are none)
        """Read ``sqlite:///absolute/path.db`` or ``sqlite:relative.db``; touch nothing (O1, O2)."""
        if url.host or not url.path or url.path.endswith(("/", "/.", "/..")):
            raise InvalidURLError(str(url), "expected sqlite:///absolute/path.db or sqlite:relative.db")
        return cls(Path(url.path))

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open the published object (R1 to R3)."""
        found = self.stat(key)
        if offset > found.size:
            raise InvalidOffsetError(key, f"offset {offset} of {found.size} bytes")
        return SqliteReader(self._path, key, found, offset)

    def open_writer(self, key: str) -> Writer:
        """Take the key over from its writer; the published object stays as it is (W1, F1)."""
        with self._forgetting() as db:
            return self._take_over(db, key)

    def _take_over(self, db: Connection, key: str) -> Writer:
        sql = """INSERT INTO objects (key, modified) VALUES (?, ?) ON CONFLICT (key) DO UPDATE
                 SET writer = excluded.writer, modified = iif(edition, modified, excluded.modified)
                 RETURNING id, writer, edition, size, version"""
        [row] = db.execute(sql, (key, time.time()))
        return SqliteWriter(self._unused, db, key, row)

    @contextmanager
    def _forgetting(self) -> Iterator[Connection]:
        """Begin a transaction by deleting what writers were discarded with, unless others have taken it over (T4)."""
        with transaction(self._path, "rwc") as db:
            unused = list(self._unused)
            for each in unused:
                db.execute("DELETE FROM objects WHERE id = ? AND writer = ? AND edition = 0", each)
                db.execute("UPDATE objects SET writer = NULL WHERE id = ? AND writer = ?", each)
            yield db
        for each in unused:  # which is done now: until then the next transaction has to try again
            with suppress(ValueError):  # another thread did the same
                self._unused.remove(each)

    def put(self, key: str, data: bytes) -> None:
        """Put a new object in place of the one that was there (P1 to P3, F2)."""
        with self._forgetting() as db:
            db.execute("DELETE FROM objects WHERE key = ?", (key,))
            with self._take_over(db, key) as writer:
                writer.write(data)

    def stat(self, key: str) -> Stat:
        """Return the properties of the published object (S1 to S3)."""
        sql = "SELECT size, modified, version FROM objects WHERE key = ? AND edition > 0"
        with transaction(self._path) as db:
            for size, modified, version in db.execute(sql, (key,)):
                return Stat(size, _time(key, modified), version)
        raise PathNotFoundError(key)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield what is published (L1 to L5)."""
        return (child for child in self.scan(prefix) if isinstance(child, str))

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Find one child after the other, and skip the keys below it; tell of keys taken, but not published (L6.5)."""
        start = below = f"{prefix}/" if prefix else ""
        end = f"{prefix}0" if prefix else "~"  # 0 follows the slash
        first = "SELECT key, edition, modified FROM objects WHERE key >= ? AND key < ? ORDER BY key LIMIT 1"
        all_of_it = "SELECT max(edition), max(modified) FROM objects WHERE key >= ? AND key < ?"
        while True:
            with transaction(self._path) as db:
                row = db.execute(first, (start, end)).fetchone()
                if row is None:
                    return
                key, edition, modified = row
                child = key[: key.find("/", len(below)) + 1] or key
                start = f"{child[:-1]}0" if child.endswith("/") else f"{child}\0"
                if not edition:
                    [(edition, modified)] = db.execute(all_of_it, (child, start))
            if edition is None:  # another process has removed it between the two requests
                continue
            yield child if edition else Unpublished(child, _time(child, modified))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Give the object another key, and fence the writers of both (M1 to M5, F2)."""
        with transaction(self._path, "rw") as db:
            found = self.stat(source).version
            if version not in (None, found):
                raise FencedError(source, f"at version {found}, not {version}")
            sql = "UPDATE OR REPLACE objects SET key = ?, version = hex(randomblob(16)), writer = NULL WHERE key = ?"
            db.execute(sql, (target, source))

    def delete(self, key: str) -> None:
        """Delete the object and all below ``key/``, with their drafts, and fence their writers (D1 to D4, F2)."""
        with transaction(self._path, "rw") as db:
            db.execute("DELETE FROM objects WHERE key = ?1 OR key > ?1 || '/' AND key < ?1 || '0'", (key,))

    def close(self) -> None:
        """Give back the connection (T3, T4)."""
        close(self._path)


def _time(key: str, modified: float) -> datetime:
    """Read a time; another program may have stored anything else (E1)."""
    try:
        return datetime.fromtimestamp(modified, UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise BackendUnavailableError(key, f"modified at {modified!r}, which is no time") from error


class SqliteReader(Reader):
    """Holds only names."""

    def __init__(self, path: Path, key: str, found: Stat, offset: int) -> None:
        super().__init__(key, found.size, found.version, offset)
        self._path = path

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read to the end of a chunk at most. One SELECT finds version and bytes: they belong together (R4, R5)."""
        number, start = divmod(offset, CHUNK)
        length = min(CHUNK - start, len(buffer))
        sql = """SELECT substr(data, ?, ?) FROM objects LEFT JOIN chunks
                 ON object = id AND number = ? AND chunks.edition <= objects.edition WHERE key = ? AND version = ?"""
        with transaction(self._path) as db:
            for (data,) in db.execute(sql, (start + 1, length, number, self.key, self.version)):
                buffer[:length] = (data or b"").ljust(length, b"\0")
                return length
        raise BackendUnavailableError(self.key, f"version {self.version} was replaced, moved or deleted")


class SqliteWriter(Writer):
    """Owns its object as long as the object's row has its name."""

    def __init__(
        self, unused: deque[tuple[int, str]], db: Connection, key: str, row: tuple[int, str, int, int, str]
    ) -> None:
        self._unused, self._path, self._file = unused, db.path, db.file
        self._id, self._name, self._edition, size, version = row
        self._start, self._run, self._changed = size, bytearray(), not version
        self._reach = size  # of all writes, also of those that were interrupted
        self._shown = version  # also if the last flush was interrupted before it could tell of it
        super().__init__(key, size, version)

    def write_at(self, offset: int, data: memoryview) -> None:
        """Gather up to a MiB of writes that follow each other; save any other write as a whole (W2, W4, W5, W9)."""
        self._cut()
        self._changed, self._reach = True, max(self._reach, offset + len(data))
        if offset == self._start + len(self._run) and len(self._run) + len(data) <= 4 * CHUNK:
            self._run += data
        else:
            with transaction(self._path, "rw"):
                self._save(self._start, memoryview(bytes(self._run)))
                self._save(offset, data)
            self._run, self._start = bytearray(), offset + len(data)

    def publish(self) -> str:
        """Save the rest of the draft and make it the next edition, in one transaction (W6, W8, F3, F4)."""
        sql = """UPDATE objects SET edition = edition + 1, size = ?, modified = ?, version = hex(randomblob(16))
                 WHERE id = ? RETURNING version"""
        self._cut()  # in a transaction of its own: it stays done if the next one fails
        with transaction(self._path, "rw") as db:
            self._save(self._start, memoryview(bytes(self._run)))
            if not self._changed:
                return self._shown
            [(self._shown,)] = db.execute(sql, (self.size, time.time(), self._id))
        self._run, self._start, self._edition, self._changed = bytearray(), self.size, self._edition + 1, False
        return self._shown

    def _cut(self) -> None:
        """Cut off what an interrupted write has left beyond the end: a later gap reads as zeros (W2, W4)."""
        if self._reach > self.size:
            with self._owning() as db:
                last = (self.size - 1) // CHUNK
                draft = (self._id, self._edition + 1, last)
                db.execute("DELETE FROM chunks WHERE object = ? AND edition = ? AND number > ?", draft)
                sql = "UPDATE chunks SET data = substr(data, 1, ?) WHERE object = ? AND edition = ? AND number = ?"
                db.execute(sql, (self.size - last * CHUNK, *draft))
            self._run = self._run[: max(0, self.size - self._start)]
            self._reach = self.size

    def release(self) -> None:
        """Leave the draft to the next writer: a transaction would have to wait for its turn (W7, T1, T4)."""
        self._run = bytearray()
        if self._changed:
            self._unused.append((self._id, self._name))

    @contextmanager
    def _owning(self) -> Iterator[Connection]:
        """Begin a transaction, unless the writer was fenced (F3), its row renamed, or an older copy put back (X2).

        The edition is read anew: a flush that was interrupted may have been done, and drafts are of the next one (W6).
        """
        sql = "SELECT edition FROM objects WHERE id = ? AND key = ? AND writer = ? AND edition >= ?"
        with transaction(self._path, "rw") as db:
            row = db.execute(sql, (self._id, self.key, self._name, self._edition)).fetchone()
            if not row or db.file != self._file:
                raise FencedError(self.key)
            [self._edition] = row
            yield db

    def _save(self, offset: int, data: memoryview) -> None:
        """Write into the draft; the rest of a chunk stays as it was."""
        sql = "SELECT data FROM chunks WHERE object = ? AND number = ? ORDER BY edition DESC LIMIT 1"
        with self._owning() as db:
            while data:
                number, start = divmod(offset, CHUNK)
                part = data[: CHUNK - start]
                old = b"" if len(part) == CHUNK else b"".join(row[0] for row in db.execute(sql, (self._id, number)))
                chunk = old[:start].ljust(start, b"\0") + part + old[start + len(part) :]
                db.execute("REPLACE INTO chunks VALUES (?, ?, ?, ?)", (self._id, number, self._edition + 1, chunk))
                offset, data = offset + len(part), data[len(part) :]


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Answer to the scheme ``sqlite``."""
    return SqliteDriver

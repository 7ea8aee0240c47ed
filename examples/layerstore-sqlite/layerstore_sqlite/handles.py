"""Reading one version of an object, and writing to a draft that nobody sees until its chunks take their places."""

import sqlite3
import time

from layerstore.driver import Reader, Writer
from layerstore.errors import BackendUnavailableError, FencedError
from layerstore_sqlite.store import Store

CHUNK = 256 << 10
"""Bytes in one row: what is copied when one byte is changed, and read when one is read."""

GATHERED = 1 << 20
"""Bytes written one after the other that are gathered in memory before they become rows."""


class SqliteReader(Reader):
    """Holds numbers and nothing else."""

    def __init__(self, store: Store, key: str, size: int, version: int, offset: int) -> None:
        """Open a version at ``offset`` (R1)."""
        super().__init__(key, size, str(version), offset)
        self._store = store

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read to the end of a chunk at most. One SELECT finds version and bytes: they belong together (R4, R5)."""
        number, start = divmod(offset, CHUNK)
        length = min(CHUNK - start, len(buffer))
        sql = """SELECT substr(data, ?, ?) FROM objects LEFT JOIN chunks
                 ON id = (SELECT chunk FROM pieces WHERE content = objects.content AND number = ?)
                 WHERE key = ? AND version = ?"""
        found = self._store.select(self.key, sql, start + 1, length, number, self.key, int(self.version))
        if not found:
            raise BackendUnavailableError(self.key, f"version {self.version} was replaced, moved or deleted")
        buffer[:length] = (found[0][0] or b"").ljust(length, b"\0")
        return length


class SqliteWriter(Writer):
    """Owns its key for as long as the table of writers says so."""

    def __init__(self, store: Store, key: str, draft: int, size: int, version: int, content: int) -> None:
        """Write to ``draft``, over the ``content`` of a version; both 0 for a new object (W1)."""
        super().__init__(key, size, str(version) if version else None)
        self._store, self._draft, self._content, self._changed = store, draft, content, not version
        self._run, self._start = bytearray(), size

    def write_at(self, offset: int, data: memoryview) -> None:
        """Gather what goes on where the last write ended; else save all, whole or not at all (W2, W4, W5, W9)."""
        if offset == self._start + len(self._run) and len(self._run) + len(data) <= GATHERED:
            self._run += data
        else:
            with self._store.writing(self.key) as db:
                self._check_owner(db)
                self._save_run(db)
                save(db, self._draft, self._content, offset, data)
            self._run, self._start = bytearray(), offset + len(data)
        self._changed = True

    def publish(self) -> str:
        """Check the fence and install the draft in one transaction, a row for every chunk written (W6, W8, F3, F4)."""
        with self._store.writing(self.key) as db:
            self._check_owner(db)
            if not self._changed:
                return str(self.version)
            self._save_run(db)
            content, version = self._content or ticket(db), ticket(db)
            _install(db, self._draft, content)
            sql = """INSERT INTO objects VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
                     SET version = excluded.version, size = excluded.size, modified = excluded.modified"""
            db.execute(sql, (self.key, version, content, self.size, time.time_ns()))
        self._run, self._start = bytearray(), self._start + len(self._run)
        self._content, self.version, self._changed = content, str(version), False
        return self.version

    def release(self) -> None:
        """Forget. What the draft holds goes when the key is next written, moved or deleted, as if killed (W7, T4)."""
        self._run = bytearray()

    def _save_run(self, db: sqlite3.Connection) -> None:
        save(db, self._draft, self._content, self._start, memoryview(bytes(self._run)))

    def _check_owner(self, db: sqlite3.Connection) -> None:
        if db.execute("SELECT draft FROM writers WHERE key = ?", (self.key,)).fetchone() != (self._draft,):
            raise FencedError(self.key)


def ticket(db: sqlite3.Connection) -> int:
    """Return a number that was never returned before, for a version or a content (S2)."""
    [(number,)] = db.execute("UPDATE ticket SET last = last + 1 RETURNING last")
    return int(number)


def save(db: sqlite3.Connection, draft: int, below: int, offset: int, data: memoryview) -> None:
    """Write into a draft, chunk by chunk; of a chunk written in part, the rest is from the draft or the one below."""
    while data:
        number, start = divmod(offset, CHUNK)
        part = data[: CHUNK - start]
        chunk = part if len(part) == CHUNK else _overlaid(db, (draft, below, number), start, part)
        db.execute("DELETE FROM pieces WHERE content = ? AND number = ?", (draft, number))
        row = db.execute("INSERT INTO chunks (data) VALUES (?)", (chunk,)).lastrowid
        db.execute("INSERT INTO pieces VALUES (?, ?, ?)", (draft, number, row))
        offset, data = offset + len(part), data[len(part) :]


def _overlaid(db: sqlite3.Connection, place: tuple[int, int, int], start: int, part: memoryview) -> bytes:
    sql = """SELECT data FROM pieces JOIN chunks ON id = chunk
             WHERE content IN (?1, ?2) AND number = ?3 ORDER BY content = ?1 DESC LIMIT 1"""
    old = b"".join(data for (data,) in db.execute(sql, place))
    return old[:start].ljust(start, b"\0") + part + old[start + len(part) :]


def _install(db: sqlite3.Connection, draft: int, content: int) -> None:
    replaced = ticket(db)
    sql = """UPDATE pieces SET content = ? WHERE content = ?
             AND number IN (SELECT number FROM pieces WHERE content = ?)"""
    db.execute(sql, (replaced, content, draft))
    db.execute("INSERT INTO garbage SELECT content FROM pieces WHERE content = ? LIMIT 1", (replaced,))
    db.execute("UPDATE pieces SET content = ? WHERE content = ?", (content, draft))

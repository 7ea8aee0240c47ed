"""The driver: each of its methods is one transaction."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from layerstore.driver import Capabilities, Driver, Stat
from layerstore.errors import FencedError, InvalidOffsetError, InvalidURLError, PathNotFoundError
from layerstore.url import StoreURL
from layerstore_sqlite.handles import SqliteReader, SqliteWriter, save, ticket
from layerstore_sqlite.store import Store

PAGE = 64
"""Keys that a listing asks for at a time."""


class SqliteDriver(Driver):
    """Layers in one SQLite file, shared by the processes of one machine (C1 to C4)."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=True, durable=True)

    def __init__(self, path: Path) -> None:
        """Store in the file ``path``, whose directory there must be."""
        self._store = Store(path.absolute())

    @classmethod
    def open(cls, url: StoreURL, **_options: Any) -> Self:  # noqa: ANN401  (as Driver.open; there are none)
        """Read ``sqlite:///absolute/path.db`` or ``sqlite:relative.db``; touch nothing (O1, O2)."""
        if url.host or not url.path or url.path.endswith("/"):
            raise InvalidURLError(str(url), "expected sqlite:///absolute/path.db or sqlite:relative.db")
        return cls(Path(url.path))

    def open_reader(self, key: str, offset: int = 0) -> SqliteReader:
        """Open what is published (R1 to R3)."""
        version, size, _ = self._published(key)
        if offset > size:
            raise InvalidOffsetError(key, f"offset {offset} of {size} bytes")
        return SqliteReader(self._store, key, size, version, offset)

    def open_writer(self, key: str) -> SqliteWriter:
        """Take the key over from whoever writes to it; what is published stays as it is (W1, F1)."""
        with self._store.writing(key, create=True) as db:
            db.execute("DELETE FROM writers WHERE key = ?", (key,))
            draft = ticket(db)
            db.execute("INSERT INTO writers VALUES (?, ?)", (key, draft))
            found = db.execute("SELECT size, version, content FROM objects WHERE key = ?", (key,)).fetchone()
        return SqliteWriter(self._store, key, draft, *(found or (0, 0, 0)))

    def put(self, key: str, data: bytes) -> None:
        """Store a content whole, in place of the one that was there (P1 to P3, F2)."""
        with self._store.writing(key, create=True) as db:
            _drop(db, key)
            new = ticket(db)
            save(db, new, 0, 0, memoryview(data))
            db.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", (key, new, new, len(data), time.time_ns()))

    def stat(self, key: str) -> Stat:
        """Tell what is published (S1 to S3)."""
        version, size, modified = self._published(key)
        return Stat(size, datetime.fromtimestamp(modified / 1e9, UTC), str(version))

    def list(self, prefix: str) -> Iterator[str]:
        """Go through the keys in order, a page at a time, and leap over what lies below a child (L1 to L5)."""
        below = start = f"{prefix}/" if prefix else ""
        sql = "SELECT key FROM objects WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        while keys := self._store.select(prefix, sql, start, _after(below) if below else "~", PAGE):
            for (key,) in keys:
                if key >= start:  # else it is below the child yielded last
                    child = key[: key.find("/", len(below)) + 1] or key
                    yield child
                    start = _after(child)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Give the object another key and a new version, and fence the writers of both (M1 to M5, F2)."""
        with self._store.writing(source) as db:
            found = db.execute("SELECT version FROM objects WHERE key = ?", (source,)).fetchone()
            if not found:
                raise PathNotFoundError(source)
            if version not in (None, str(found[0])):
                raise FencedError(source, f"at version {found[0]}, not {version}")
            _drop(db, target)
            db.execute("UPDATE objects SET key = ?, version = ? WHERE key = ?", (target, ticket(db), source))
            _drop(db, source)

    def delete(self, key: str) -> None:
        """Drop the key and all below ``key/``, and fence their writers; then free the space (D1 to D4, F2)."""
        with self._store.writing(key) as db:
            _drop(db, key)
            _drop(db, f"{key}/")
        while self._store.select(key, "SELECT 1 FROM garbage LIMIT 1"):
            with self._store.writing(key):
                pass  # every transaction deletes some of it

    def close(self) -> None:
        """Give back the connection (T3, T4)."""
        self._store.close()

    def _published(self, key: str) -> tuple[int, int, int]:
        for found in self._store.select(key, "SELECT version, size, modified FROM objects WHERE key = ?", key):
            return found
        raise PathNotFoundError(key)


def _drop(db: sqlite3.Connection, child: str) -> None:
    """Drop an object, or all below a prefix, and fence the writers there."""
    for table in ("objects", "writers"):
        db.execute(f"DELETE FROM {table} WHERE key >= ? AND key < ?", (child, _after(child)))  # noqa: S608  (our names)


def _after(child: str) -> str:
    """Return what comes next in order: after the child and, if it is a prefix, after all below it."""
    return f"{child[:-1]}0" if child.endswith("/") else f"{child}\0"  # 0 follows the slash

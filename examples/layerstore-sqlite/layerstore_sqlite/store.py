"""The SQLite file: made whole, opened late, asked by one thread at a time, and every failure named."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakSet

from layerstore.errors import AccessDeniedError, BackendUnavailableError, NoSpaceError

TIMEOUT = 30.0
"""Seconds to wait for others who write to the file; after them, ``BackendUnavailableError``."""

SWEPT = 256
"""Chunks of garbage that one transaction deletes at most, so that nobody waits long for it."""

_ERRORS = {
    "BUSY": (BackendUnavailableError, "others wrote to the file until the timeout"),
    "CORRUPT": (BackendUnavailableError, "the file is damaged"),
    "ERROR": (BackendUnavailableError, "the file holds no store"),
    "FULL": (NoSpaceError, "no room for the file to grow"),
    "NOTADB": (BackendUnavailableError, "the file is no SQLite database"),
    "READONLY": (AccessDeniedError, "the file cannot be written to"),
}


class Store:
    """One file, with a connection that is opened when it is first needed (O2)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        with _turn:
            _stores.add(self)

    def select(self, key: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return rows of one state of the store; ``key`` is for errors (E1)."""
        with _turn, _named(key):
            return self._connected(key).execute(sql, values).fetchall()

    @contextmanager
    def writing(self, key: str, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """Lend a transaction: durable and visible as a whole, or, after an error, not at all (E4, C4).

        Nobody else writes from its beginning on: what is checked in it stays true. Only ``create`` makes a store (E2).
        """
        with _turn, _named(key):
            if create and not self.path.exists():
                self.disconnect()  # from a file that was deleted
                _make(self.path, key)
            with self._connected(key) as db:  # commits, or rolls back after an error
                db.executescript("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; BEGIN IMMEDIATE")
                yield db
                db.execute("DELETE FROM pieces WHERE (content, number) IN (SELECT * FROM swept LIMIT ?)", (SWEPT,))

    def disconnect(self) -> None:
        """Close the connection; whoever needs one next opens another."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Give back the connection (T3, T4)."""
        with _turn:
            self.disconnect()

    def _connected(self, key: str) -> sqlite3.Connection:
        os.stat(self.path)  # else, when the file was deleted, we would go on in one without a name (E2)
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise AccessDeniedError(key, "the file may not be read and written")
        if not self._connection:
            self._connection = _connect(self.path, "rw")
        return self._connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    url = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(url, uri=True, timeout=TIMEOUT, isolation_level=None, check_same_thread=False)


def _make(path: Path, key: str) -> None:
    """Make a store elsewhere and link it to its name, so that nobody ever meets half of one."""
    if os.path.exists(f"{path}-wal") and not path.exists():  # SQLite would play a former store's log into the new one
        raise BackendUnavailableError(key, "the file was deleted, and what belongs to it, in -wal and -shm, was not")
    with tempfile.TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as room:
        with closing(_connect(Path(room, "new"), "rwc")) as db:
            db.executescript(files(__package__).joinpath("schema.sql").read_text())
        with suppress(FileExistsError):  # another process was as quick
            os.link(Path(room, "new"), path)


@contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "SQLITE_ERROR").split("_")[1]  # of SQLITE_IOERR_WRITE, IOERR
        kind, cause = _ERRORS.get(code, (BackendUnavailableError, f"SQLite says {code}"))
        raise kind(key, cause) from error


# SQLite keeps book of its locks by process: a child that inherits a connection believes to hold what its parent holds,
# on every connection it opens to that file. So none is open across a fork: threads take turns, and a fork takes one.
_turn = Lock()
_stores: WeakSet[Store] = WeakSet()


def _before_fork() -> None:
    _turn.acquire()
    for store in _stores:
        store.disconnect()


os.register_at_fork(before=_before_fork, after_in_parent=_turn.release, after_in_child=_turn.release)

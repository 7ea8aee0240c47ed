"""The SQLite file: opened late, and used by one thread at a time."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from threading import RLock

_UNMADE = "no store has been made in the file yet, the first upload makes it"
_SCHEMA = files(__package__).joinpath("schema.sql").read_text()
_BEGIN = """PRAGMA synchronous = EXTRA; PRAGMA fullfsync = ON; PRAGMA secure_delete = OFF; PRAGMA foreign_keys = ON;
            BEGIN IMMEDIATE"""

# SQLite keeps its locks by process: a child that inherits a connection believes that it holds its parent's locks. So no
# connection is open across a fork. Threads take turns, and a fork waits for its turn.
_turn = RLock()
_connections: dict[Path, "Connection"] = {}


class Connection(sqlite3.Connection):
    """The connection to a file."""

    path: Path
    file: tuple[int, int] | None  # its device and inode; None before it is made


def _file(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _number(error: sqlite3.Error, path: Path, mode: str) -> int:
    """Return the system's number for what SQLite says (E1): it must make files beside its file, too."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and (path.exists() or mode == "rwc"):
        return 0 if os.access(path.parent, os.W_OK | os.X_OK) or not path.parent.exists() else errno.EACCES
    return errno.ENOSPC if code == sqlite3.SQLITE_FULL else 0


@contextmanager
def transaction(path: Path, mode: str = "ro") -> Iterator[Connection]:
    """Lend a connection: ``ro`` to read, ``rw`` to write all or nothing (E4, C4), ``rwc`` to make a store too (E2)."""
    with _turn:
        file = _file(path)
        if path in _connections and not _connections[path].in_transaction and _connections[path].file != file:
            close(path)  # or we would go on in a file without a name, or in another's place (E2, X1)
        if file and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, str(path))
        try:
            if path not in _connections:
                if mode == "rwc":  # with the mode that the umask leaves (C3): SQLite's own is 0644 at most
                    with suppress(OSError):
                        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
                url = f"{path.as_uri()}?mode={'rwc' if mode == 'rwc' else 'rw'}"
                db = sqlite3.connect(url, uri=True, timeout=30, check_same_thread=False, factory=Connection)
                _connections[path], db.path, db.file = db, path, file
            db = _connections[path]
            if db.in_transaction:  # one within another is part of it
                yield db
            else:
                with db:  # which commits, or rolls back
                    if mode == "rwc":
                        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'removed'").fetchone():
                            db.executescript(_SCHEMA)
                        with suppress(sqlite3.OperationalError):  # as another process is about to do
                            db.execute("PRAGMA journal_mode = WAL")
                        db.file = db.file or _file(path)
                    if mode != "ro":
                        db.executescript(_BEGIN)
                    yield db
        except sqlite3.Error as error:
            said = _UNMADE if str(error).startswith("no such table") else f"SQLite says: {error}"
            raise OSError(_number(error, path, mode), said) from error  # the front names it (E1)


def close(*paths: Path) -> None:
    """Give back connections; the next use opens another (T3, T4)."""
    with _turn:
        for path in _connections.keys() & paths:
            _connections.pop(path).close()


os.register_at_fork(before=lambda: close(*_connections))  # when it is our turn: the last is called first
os.register_at_fork(before=_turn.acquire, after_in_parent=_turn.release, after_in_child=_turn.release)

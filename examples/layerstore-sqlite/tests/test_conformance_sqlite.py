"""The whole suite, on a store in a file."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from layerstore import open_driver
from layerstore_conformance.harness import Harness, How, changed
from layerstore_conformance.kit.renaming import renaming
from layerstore_conformance.suite import *  # noqa: F403  (the suite's tests become this module's)
from layerstore_sqlite import store
from layerstore_sqlite.driver import CHUNK


def tampering(path: Path) -> Callable[[str, How], None]:
    """Return what changes objects by SQL, and leaves versions and times as they are, or puts them back."""

    def tamper(key: str, how: How) -> None:
        with closing(open_driver(f"sqlite://{path}")) as driver:
            data = changed(b"" if how == "make" else driver.get(key, 1 << 40), how)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("PRAGMA foreign_keys = ON")
            if how == "make":  # out of what a writer has begun, if there is something
                sql = "INSERT INTO objects (key, edition) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET edition = 1"
                db.execute(f"{sql}, modified = 0", (key,))
                db.execute("UPDATE objects SET modified = unixepoch() WHERE key = ?", (key,))
            [row] = db.execute("SELECT * FROM objects WHERE key = ?", (key,))
            if data is None or how.startswith("remake"):
                db.execute("DELETE FROM objects WHERE key = ?", (key,))
            if how.startswith("remake"):
                db.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            _store(db, row[0], row[2], data or b"", _REPLACE if how == "replace-quietly" else _UPDATE)

    return tamper


_UPDATE = "UPDATE chunks SET data = ? WHERE object = ? AND number = ? AND edition <= ?"
_REPLACE = """REPLACE INTO chunks SELECT object, number, edition, ? FROM chunks
              WHERE object = ? AND number = ? AND edition <= ?"""


def _store(db: sqlite3.Connection, number: int, edition: int, data: bytes, sql: str) -> None:
    """Have an object's published chunks hold other bytes: those that are there are changed by the statement."""
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    if not db.execute("SELECT 1 FROM objects WHERE id = ?", (number,)).fetchone():
        return
    for index, part in enumerate(parts):
        place = (number, index, edition)
        if not db.execute(sql, (part, *place)).rowcount:
            db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (*place, part))
    db.execute("DELETE FROM chunks WHERE object = ? AND number >= ? AND edition <= ?", (number, len(parts), edition))
    db.execute("UPDATE objects SET size = ? WHERE id = ? AND size != ?", (len(data), number, len(data)))


@pytest.fixture(scope="session")
def layerstore_harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """Give the suite a store, the URL of one that there is not, and a way to break what connections there are."""
    folder = tmp_path_factory.mktemp("conformance")
    (folder / "store").mkdir()

    def lose_connections() -> None:
        """Close them behind their users, as a fork does. There is no server: a restart is no more than that."""
        store.close(*store._connections)

    return Harness(
        f"sqlite://{folder}/store/store.db",
        tamper=tampering(folder / "store" / "store.db"),
        away=renaming(folder / "store"),
        traced=lambda directory: f"sqlite://{directory}/store.db",
        missing=f"sqlite://{folder}/none.db",
        cut=lose_connections,
        restart=lose_connections,
    )

"""Changes that a library in C makes of a file are noticed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from layerstore_conformance.kit.system_calls import Writes


@pytest.mark.skipif(not Path("/proc/thread-self/io").exists(), reason="Linux tells how often a thread has written")
def test_a_commit_by_a_library_is_a_change(tmp_path: Path) -> None:
    """A commit writes, and a look does not; outside of the block nothing is counted."""
    with closing(sqlite3.connect(tmp_path / "db")) as db:
        db.execute("CREATE TABLE puts (key)")
        writes = Writes()
        with writes.counted():
            assert not writes.are_more()
            with db:
                db.execute("INSERT INTO puts VALUES (1)")
            assert writes.are_more()
            assert db.execute("SELECT key FROM puts").fetchall() == [(1,)]
            assert not writes.are_more()
        with db:
            db.execute("INSERT INTO puts VALUES (2)")
        assert not writes.are_more()

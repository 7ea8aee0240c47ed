"""What is the SQLite driver's own: the file, what it costs, and what of it is left."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import layerstore_sqlite.driver
import layerstore_sqlite.store
from layerstore import open_driver
from layerstore.checked import CheckedDriver
from layerstore.errors import AccessDeniedError, BackendUnavailableError, FencedError, InvalidURLError, NoSpaceError
from layerstore_sqlite.driver import CHUNK, SqliteDriver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file that is not there yet, by what a URL has to escape."""
    return tmp_path / "a ?#store.db"


@pytest.fixture
def store(path: Path) -> Iterator[CheckedDriver]:
    """Open the store of that file."""
    with closing(CheckedDriver(SqliteDriver(path), "sqlite")) as driver:
        yield driver


@pytest.fixture
def ask(path: Path) -> Callable[[str], list[Any]]:
    """Look into the file by SQL, past the driver."""

    def answer(sql: str) -> list[Any]:
        with closing(sqlite3.connect(path)) as side, side:
            return side.execute(sql).fetchall()

    return answer


def connection(path: Path) -> sqlite3.Connection:
    """Reach for the driver's own connection: limits and counters are each connection's."""
    return layerstore_sqlite.store._connections[path]


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite:///", "sqlite:folder/", "sqlite:folder/..", "sqlite://host/store.db"]
)
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    """A store is one file on this machine (O2)."""
    with pytest.raises(InvalidURLError, match=r"expected sqlite:///absolute/path.db or sqlite:relative.db"):
        open_driver(url)


def test_a_relative_path_is_of_the_directory_it_was_opened_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sqlite:name.db`` means the same file wherever the process goes later (O1)."""
    monkeypatch.chdir(tmp_path)
    with closing(open_driver("sqlite:name.db")) as driver:
        monkeypatch.chdir("/")
        driver.put("a", b"bytes")
    assert [entry.name for entry in tmp_path.iterdir()] == ["name.db"]


def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    """A store is made in a directory that is there; else its backend is missing (E2)."""
    with closing(open_driver(f"sqlite://{tmp_path}/none/store.db")) as driver, pytest.raises(BackendUnavailableError):
        driver.put("a", b"bytes")
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_file_was_deleted_is_missing(store: CheckedDriver, path: Path) -> None:
    """Who deletes the file is not answered from it any more, and finds the next put in a new one (E2, S2)."""
    store.put("a", b"old")
    before = store.stat("a").version
    for each in path.parent.iterdir():
        each.unlink()
    with pytest.raises(BackendUnavailableError):
        list(store.list(""))
    store.put("a", b"new")
    store.inner.close()
    assert store.open_reader("a").read() == b"new"
    assert store.stat("a").version != before


def test_no_new_store_is_mixed_with_an_old_one(store: CheckedDriver, path: Path) -> None:
    """Where the log of a deleted file is left, it does not come up in the new one (E2)."""
    store.put("old", b"bytes")
    path.unlink()
    store.put("new", b"bytes")
    assert list(store.list("")) == ["new"]


def test_a_file_that_may_not_be_opened_is_refused(store: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not open the file is told so, which is not the same as its being away (E1)."""
    store.put("a", b"bytes")
    store.inner.close()
    monkeypatch.setattr(os, "access", lambda *_: False)  # no chmod would keep root out
    with pytest.raises(AccessDeniedError, match="Permission denied"):
        store.stat("a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_that_may_not_be_written_is_refused(store: CheckedDriver, path: Path) -> None:
    """SQLite keeps a log beside the file: who may write to the file only is told that this is refused (E1)."""
    store.put("a", b"bytes")
    store.inner.close()
    path.chmod(0o666)
    for each in path.parents:
        each.chmod(each.stat().st_mode | 0o555)
    os.setresuid(65534, 65534, 0)
    try:
        with pytest.raises(AccessDeniedError):
            store.stat("a")
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("modified", ["NULL", "'yesterday'", "1e300"])
def test_what_is_no_time_is_told(store: CheckedDriver, ask: Callable[[str], list[Any]], modified: str) -> None:
    """Another program may have stored anything as the time of a change (E1)."""
    store.put("a", b"bytes")
    ask(f"UPDATE objects SET modified = {modified}")
    with pytest.raises(BackendUnavailableError, match="which is no time"):
        store.stat("a")


def test_a_writer_is_fenced_if_its_object_is_renamed(store: CheckedDriver, ask: Callable[[str], list[Any]]) -> None:
    """What another program has renamed is not its writer's any more (X2)."""
    store.put("a", b"bytes")
    writer = store.open_writer("a")
    writer.write(b"more")
    ask("UPDATE objects SET key = 'b'")
    with pytest.raises(FencedError):
        writer.flush()
    assert store.open_reader("b").read() == b"bytes"


def test_a_flush_interrupted_when_it_is_committed_shows_no_later_write(
    store: CheckedDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal's handler runs behind the commit: what is written next is of the next edition (W6)."""
    writer = store.open_writer("a")
    writer.write(b"0123456789")
    writer.seek(0)
    writer.write(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(layerstore_sqlite.driver, "transaction", _interrupted_behind)
        with pytest.raises(KeyboardInterrupt):
            writer.flush()
    writer.seek(5)
    writer.write(b"YY")
    assert store.open_reader("a").read() == b"x123456789"
    writer.flush()
    assert store.open_reader("a").read() == b"x1234YY789"


@contextmanager
def _interrupted_behind(path: Path, mode: str = "ro") -> Iterator[layerstore_sqlite.store.Connection]:
    with layerstore_sqlite.store.transaction(path, mode) as db:
        yield db
    if not db.in_transaction:
        raise KeyboardInterrupt


def test_an_object_that_another_program_makes_has_a_version(
    store: CheckedDriver, ask: Callable[[str], list[Any]]
) -> None:
    """An object of no bytes has no chunk whose trigger would give it one (X1, S1)."""
    store.put("a", b"bytes")
    ask("INSERT INTO objects (key, edition, modified) VALUES ('empty', 1, 0)")
    version = store.stat("empty").version
    assert version
    assert store.open_writer("empty").version == version


@pytest.mark.parametrize("how", ["the same file", "another file"])
def test_a_writer_is_fenced_if_an_older_copy_is_put_back(store: CheckedDriver, path: Path, how: str) -> None:
    """What a writer has saved since a copy was made is not in it: nothing of that is published (X2)."""
    writer = store.open_writer("a")
    writer.write(bytes(8 * CHUNK))
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(path.with_name("copy"))) as copy:
        db.backup(copy)
        writer.flush()
        writer.write(b"more" * 2 * CHUNK)
        if how == "the same file":
            copy.backup(db)
    if how == "another file":
        path.with_name(f"{path.name}-wal").unlink()
        path.with_name(f"{path.name}-shm").unlink()
        path.with_name("copy").replace(path)
    with pytest.raises(FencedError):
        writer.flush()


def test_a_refusal_gives_its_turn_back(store: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not open the file keeps no other thread waiting (T6)."""
    store.put("a", b"bytes")
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)
        with pytest.raises(AccessDeniedError):
            store.stat("a")
    other = Thread(target=store.stat, args=("a",), daemon=True)
    other.start()
    other.join(20)
    assert not other.is_alive(), "another thread waits for 20 s"


def test_a_file_that_is_no_store_is_left_alone(store: CheckedDriver, path: Path) -> None:
    """A file that holds something else is no backend, and is not made one (E2)."""
    path.write_bytes(b"no database at all" * 100)
    for act in (store.stat, store.open_writer, store.delete):
        with pytest.raises(BackendUnavailableError, match="SQLite says: file is not a database"):
            act("a")
    assert path.read_bytes() == b"no database at all" * 100


def test_a_store_whose_maker_was_killed_is_made_by_the_next(store: CheckedDriver, path: Path) -> None:
    """A file without tables is a backend that is missing, until something is put there (E2)."""
    path.write_bytes(b"")
    for act in (store.stat, store.delete):
        with pytest.raises(BackendUnavailableError, match="no store has been made in the file yet"):
            act("a")
    store.put("a", b"bytes")
    assert store.open_reader("a").read() == b"bytes"


def test_a_damaged_file_is_told_in_words(store: CheckedDriver, path: Path) -> None:
    """What SQLite finds wrong becomes a sentence (E1)."""
    store.put("a", bytes(CHUNK))
    store.inner.close()
    path.write_bytes(path.read_bytes()[:4096] + bytes(CHUNK))
    with pytest.raises(BackendUnavailableError, match=r"'a' \(SQLite says: database disk image is malformed\)"):
        store.stat("a")


def test_a_full_disk_keeps_what_was_there(store: CheckedDriver, path: Path) -> None:
    """A file that cannot grow is NoSpaceError; the writer's bytes are kept, and flushed when there is room (E1, W8)."""
    writer = store.open_writer("a")
    writer.write(bytes(4 * CHUNK))
    limit = "PRAGMA max_page_count = {}"
    connection(path).execute(limit.format(1))
    with pytest.raises(NoSpaceError, match="No space left"):
        writer.flush()
    connection(path).execute(limit.format(1 << 30))
    writer.close()
    assert store.stat("a").size == 4 * CHUNK


def test_who_waits_too_long_is_told(store: CheckedDriver, path: Path) -> None:
    """Another program that keeps the file locked is waited for until the timeout, and reads go on meanwhile (E1)."""
    store.put("a", b"old")
    connection(path).execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailableError, match="SQLite says: database is locked"):
            store.put("a", b"new")
        assert store.open_reader("a").read() == b"old"


def test_a_store_that_another_process_makes_is_waited_for(store: CheckedDriver, path: Path) -> None:
    """Turning a new store to WAL never waits for a lock, so whoever is second leaves it to the first (E1)."""
    store.put("a", b"old")
    store.inner.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        store.stat("a")
        other.execute("BEGIN IMMEDIATE")
        connection(path).set_trace_callback(lambda sql: other.rollback() if "BEGIN" in sql else None)
        store.put("a", b"new")
    assert store.open_reader("a").read() == b"new"


def test_a_flush_costs_the_chunks_that_were_touched(store: CheckedDriver, ask: Callable[[str], list[Any]]) -> None:
    """A byte changed in a large object replaces one row; all others stay where they are, uncopied (W5, W6)."""
    with store.open_writer("a") as writer:
        writer.write(bytes(8 * CHUNK))
    before = ask("SELECT rowid FROM chunks ORDER BY number")
    with store.open_writer("a") as writer:
        writer.seek(3 * CHUNK + 1)
        writer.write(b"x")
    after = ask("SELECT rowid FROM chunks ORDER BY number")
    assert [old == new for old, new in zip(before, after, strict=True)] == [True] * 3 + [False] + [True] * 4


def test_a_gap_takes_no_room(store: CheckedDriver, ask: Callable[[str], list[Any]]) -> None:
    """Zeros that nobody wrote are not stored (W4)."""
    with store.open_writer("a") as writer:
        writer.seek(1 << 40)
        writer.write(b"x")
    assert ask("SELECT count(*) FROM chunks") == [(1,)]
    assert store.open_reader("a", (1 << 40) - 3).read() == b"\0\0\0x"


def test_what_a_killed_writer_saved_goes_with_the_next(store: CheckedDriver, ask: Callable[[str], list[Any]]) -> None:
    """Rows of a writer that is gone are deleted when somebody takes its key over, and when it is deleted (W7)."""
    for take_over in (store.open_writer, store.delete):
        writer = store.open_writer("a")
        writer.write(bytes(8 * CHUNK))
        assert ask("SELECT count(*) FROM chunks") == [(8,)]
        take_over("a")
        assert ask("SELECT count(*) FROM chunks") == [(0,)]


def test_what_a_discarded_writer_saved_goes_with_the_next_writer(
    store: CheckedDriver, ask: Callable[[str], list[Any]]
) -> None:
    """Rows of writers that were discarded are deleted when their driver next opens one, under whatever key (T4)."""
    store.put("old", b"bytes")
    for key in ("old", "new"):
        writer = store.open_writer(key)
        writer.write(bytes(8 * CHUNK))
        writer.discard()
    store.open_writer("another")
    assert ask("SELECT key FROM objects ORDER BY id") == [("old",), ("another",)]
    assert ask("SELECT count(*) FROM chunks") == [(1,)]


def test_a_clean_up_that_failed_is_tried_again(store: CheckedDriver, path: Path) -> None:
    """What a discarded writer had saved goes though the first transaction that would delete it fails (T4)."""
    store.put("old", b"bytes")
    writer = store.open_writer("new")
    writer.write(bytes(8 * CHUNK))
    writer.discard()
    denied = {sqlite3.SQLITE_INSERT: sqlite3.SQLITE_DENY}
    connection(path).set_authorizer(lambda action, *_: denied.get(action, sqlite3.SQLITE_OK))
    with pytest.raises(BackendUnavailableError):
        store.open_writer("another")
    denied.clear()
    store.open_writer("old")
    assert list(store.scan("")) == ["old"]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="asks Linux how much was read")
def test_a_large_object_is_deleted_unread(store: CheckedDriver) -> None:
    """A deletion takes a moment, however large the object: nobody else waits long for it (D1)."""

    def read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    store.put("a", bytes(64 * CHUNK))
    store.inner.close()
    before = read()
    store.delete("a")
    assert read() - before < 8 * CHUNK


def test_a_listing_leaps_over_what_lies_below_a_child(
    store: CheckedDriver, path: Path, ask: Callable[[str], list[Any]]
) -> None:
    """A prefix is listed at one price, however many keys lie below it (L4)."""
    store.put("z", b"")
    ask(
        "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 100000)"
        " INSERT INTO objects (key, edition) SELECT 'a/' || n, 1 FROM many"
    )
    steps = []
    connection(path).set_progress_handler(lambda: steps.append(1), 1)
    assert list(store.list("")) == ["a/", "z"]
    assert len(steps) < 2000


def test_a_forked_child_has_locks_of_its_own(store: CheckedDriver) -> None:
    """What a child puts is there though its parent, which had the file open when it forked, has closed it (C3, P2)."""
    store.put("a", b"")
    (told, tell), (go, let_go) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            store.put("b", b"")
            os.write(tell, b".")
            os.read(go, 1)
            store.put("c", b"")
        os._exit(0)
    os.read(told, 1)
    store.inner.close()
    os.write(let_go, b".")
    os.waitpid(child, 0)
    assert list(store.list("")) == ["a", "b", "c"]

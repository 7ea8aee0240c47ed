"""What is the PyFilesystem2 driver's own: drafts, versions, links, and what an FTP server may do to it."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import layerstore
from layerstore import Digest, FencedError, Foreign, layout, open_driver
from layerstore.checked import CheckedDriver
from layerstore.errors import AccessDeniedError, BackendUnavailableError, UnsupportedOperationError
from layerstore_drivers.pyfilesystem.address import Address
from layerstore_drivers.pyfilesystem.driver import PyFilesystemDriver
from layerstore_drivers.pyfilesystem.filesystems import Directory, Entry
from layerstore_drivers.pyfilesystem.store import Store

if TYPE_CHECKING:
    from tests.ftp_server import PASSWORD, FTPServer
else:
    from ftp_server import PASSWORD, FTPServer

DATA = b"a layer" * 1000

Rename = Callable[[Directory, str, str], None]


@pytest.fixture
def driver(tmp_path: Path) -> CheckedDriver:
    """Store in a directory."""
    return open_driver(f"pyfs+osfs://{tmp_path}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FTPServer]:
    """Serve a directory with a store in it."""
    (tmp_path / "store").mkdir()
    with FTPServer(tmp_path) as serving:
        yield serving


def drafts(root: Path) -> list[str]:
    """Return the files that no key has."""
    return os.listdir(root / ".layerstore") if (root / ".layerstore").exists() else []


def test_a_draft_goes_with_its_writer(driver: CheckedDriver, tmp_path: Path) -> None:
    """A writer that is collected leaves no file behind (T4, W7)."""
    driver.open_writer("key").write(b"never flushed")
    gc.collect()
    assert drafts(tmp_path) == []
    assert not (tmp_path / "key").exists()


def test_a_draft_let_go_of_during_a_turn_goes_with_the_next(driver: CheckedDriver, tmp_path: Path) -> None:
    """A collection in the middle of a driver call waits for nobody, and is made up for (T1, T4)."""
    writer = driver.open_writer("key")
    writer.write(b"never flushed")
    with driver.inner._store.turn("key"):  # type: ignore[attr-defined]  # what a call holds
        writer.discard()
        assert len(drafts(tmp_path)) == 1
    driver.find("key")
    assert drafts(tmp_path) == []


def test_another_programs_change_fences(driver: CheckedDriver, tmp_path: Path) -> None:
    """A file that another program has replaced, by size or time, is not overwritten by who did not know (F4)."""
    driver.put("key", b"old")
    writer = driver.open_writer("key")
    writer.write(b"and more")
    (tmp_path / "key").write_bytes(b"somebody else's")
    with pytest.raises(FencedError):
        writer.close()
    assert (tmp_path / "key").read_bytes() == b"somebody else's"


def test_a_link_is_neither_listed_nor_followed(driver: CheckedDriver, tmp_path: Path) -> None:
    """A delete leaves a link, and what it leads to, as they are (D5)."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"data")
    driver.put("a/b", b"")
    (tmp_path / "a" / "link").symlink_to(outside)
    assert list(driver.list("a")) == ["a/b"]
    with pytest.raises(AccessDeniedError):
        driver.put("a/link", b"")
    driver.delete("a")
    driver.delete("a/link")
    assert (outside / "kept").read_bytes() == b"data"
    assert os.listdir(tmp_path / "a") == ["link"]


def test_a_link_that_leads_nowhere_is_not_written_over(driver: CheckedDriver, tmp_path: Path) -> None:
    """The disk that it leads to may be back tomorrow."""
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    with pytest.raises(AccessDeniedError):
        driver.put("link", b"")
    assert (tmp_path / "link").is_symlink()


def test_a_scan_has_what_a_listing_passes_over(driver: CheckedDriver, tmp_path: Path) -> None:
    """Links, special files, hidden names, names that are no keys, and the directories that hold nothing else (L6)."""
    driver.put("a/b", b"")
    for directory in ("a/my repo", "a/c/.hidden", "a/caf\udce9", "a/lost+found", "a/d/@eaDir"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "a/e").symlink_to(tmp_path / "missing")
    os.mkfifo(tmp_path / "a/f")
    named, special = "a directory whose name is no key", "a special file"
    names = {"a/c/.hidden/": named, "a/caf\\xe9/": named, "a/e": "a symlink", "a/f": special, "a/my repo/": named}
    found = list(driver.scan("a"))
    assert [child for child in found if isinstance(child, str)] == list(driver.list("a")) == ["a/b"]
    assert {child.name: child.what for child in found if isinstance(child, Foreign)} == names
    assert list(driver.scan("")) == ["a/"]
    driver.delete("a")
    assert [child.name for child in driver.scan("a") if not isinstance(child, str)] == sorted(names)


@pytest.mark.parametrize("prefix", ["link", "link/sub", "link/sub/missing"])
def test_a_link_in_the_place_of_a_prefix_is_scanned(driver: CheckedDriver, tmp_path: Path, prefix: str) -> None:
    """So is one in the place of a segment above, whatever lies behind it (L6)."""
    driver.put("real/sub/key", b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert list(driver.scan(prefix)) == [Foreign("link", "a symlink")]
    assert [list(driver.scan(each)) for each in ("real/sub", "real/sub/key/x", "none/x")] == [["real/sub/key"], [], []]


def test_a_directory_in_the_place_of_a_link_is_foreign(driver: CheckedDriver, tmp_path: Path) -> None:
    """Empty it would be nothing, were it not for the link that should be there; putting it heals (L6)."""
    link = layout.link("link", Digest("sha256", "0" * 64))
    (tmp_path / link).mkdir(parents=True)
    found = list(driver.scan(layout.links("link", "sha256")))
    assert found == [Foreign(f"{link}/", "a directory in the place of a link")]
    driver.put(link, b"")
    assert list(driver.scan(layout.links("link", "sha256"))) == [link.removesuffix("link")]


def test_a_directory_with_something_foreign_is_an_obstacle(driver: CheckedDriver, tmp_path: Path) -> None:
    """It is not removed for an object of its name (D5)."""
    (tmp_path / "a" / ".mine").mkdir(parents=True)
    with pytest.raises(UnsupportedOperationError):
        driver.put("a", b"")
    assert (tmp_path / "a" / ".mine").exists()


@pytest.mark.parametrize("name", ["lost+found", "other"])
def test_a_directory_that_may_not_be_read_is_an_error(
    driver: CheckedDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nobody knows what it holds; but for the one that is root's in every file system (L6, E1)."""
    (tmp_path / name).mkdir()
    real = Directory.scan

    def refuse(self: Directory, path: str) -> list[Entry]:
        if path == f"/{name}":
            raise PermissionError(13, "permission denied")
        return real(self, path)

    monkeypatch.setattr(Directory, "scan", refuse)
    if name == "lost+found":
        assert list(driver.scan("")) == []
        return
    with pytest.raises(AccessDeniedError):
        list(driver.scan(""))


def test_a_rename_that_is_refused_copies_nothing(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system refuses to rename, the old object stays whole: OSFS.move would copy over it (W6)."""

    def refuse(*_: object) -> None:
        raise OSError(5, "input/output error")

    driver.put("key", b"old")
    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BackendUnavailableError):
        driver.put("key", b"new")
    assert driver.get("key", 10) == b"old"


def test_a_directory_with_no_key_is_no_obstacle(driver: CheckedDriver, tmp_path: Path) -> None:
    """A directory that something has left empty is not listed, and an object may take its place (K3)."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert list(driver.list("")) == []
    driver.put("a", b"data")
    assert driver.get("a", 10) == b"data"
    with pytest.raises(UnsupportedOperationError):
        driver.put("a/b", b"")


def test_a_wrong_password_is_a_refusal_that_does_not_show_it(server: FTPServer) -> None:
    """The password is in no part of the error (E1, E3)."""
    with pytest.raises(AccessDeniedError) as caught:
        open_driver(server.url("store", password="wr0ng-one")).put("key", b"")
    assert "wr0ng-one" not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)


def test_no_log_shows_a_password(server: FTPServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither what is logged nor the repr of what is held shows the password, at any level (E3)."""
    caplog.set_level(0)
    driver = open_driver(server.url("store"))
    driver.put("key", b"data")
    with driver.open_reader("key") as reader, driver.open_writer("other") as writer:
        shown = [repr(each) for each in (driver, driver.inner, reader, writer)]
    driver.close()
    assert PASSWORD not in caplog.text + "".join(shown)


def test_an_idle_connection_that_was_closed_is_made_anew(server: FTPServer) -> None:
    """A server that closes idle connections is not an error: PyFilesystem2 would fail for ever."""
    driver = open_driver(server.url("store"))
    driver.put("key", b"data")
    server.cut()
    assert driver.get("key", 10) == b"data"
    driver.close()


def test_an_empty_object_is_stored_on_a_server(server: FTPServer, tmp_path: Path) -> None:
    """An FTP file that nothing is written to is none, to PyFilesystem2; an object of no bytes is one (P3)."""
    driver = open_driver(server.url("store"))
    driver.put("key", b"")
    assert (tmp_path / "store" / "key").read_bytes() == b""
    driver.close()


def test_the_top_of_a_server_is_a_store(server: FTPServer, tmp_path: Path) -> None:
    """Without a directory, the store is where the user is put."""
    driver = open_driver(server.url(""))
    driver.put("a/b", b"data")
    assert (tmp_path / "a" / "b").read_bytes() == b"data"
    assert list(driver.list("")) == ["a/"]
    driver.close()


KILLED = """
import os, signal, sys
from layerstore import open_driver

driver = open_driver(sys.argv[1])
writers = [driver.open_writer(key) for key in sys.argv[2:]]
for writer in writers:
    writer.write(bytes(100_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_process_that_writes(root: Path, *keys: str) -> None:
    """Leave a draft of every key."""
    killed = subprocess.run([sys.executable, "-c", KILLED, f"pyfs+osfs://{root}", *keys], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(drafts(root)) == len(keys)


@pytest.mark.parametrize("key", ["a/b", "/".join(["long" * 10] * 8)])
@pytest.mark.parametrize("act", ["open_writer", "put", "delete"])
def test_what_a_killed_writer_left_goes_when_its_key_is_fenced(tmp_path: Path, key: str, act: str) -> None:
    """The next writer, put or deletion of the key fences the killed one, and removes its draft (F1, F2, W7)."""
    kill_a_process_that_writes(tmp_path, key)
    driver = open_driver(f"pyfs+osfs://{tmp_path}")
    assert driver.find(key) is None
    getattr(driver, act)(*((key, b"data") if act == "put" else (key,)))
    assert drafts(tmp_path) == []


def test_a_deleted_prefix_takes_along_what_killed_writers_left_below(driver: CheckedDriver, tmp_path: Path) -> None:
    """A purge removes the drafts of an abandoned upload that was never flushed, and of no other (D1)."""
    kill_a_process_that_writes(tmp_path, "a/b/data", "a/b", "a/b2", "a")
    driver.delete("a/b")
    assert sorted(name.partition(",,")[0] for name in drafts(tmp_path)) == ["a", "a,b2"]


def test_a_draft_of_this_process_is_nobodys_leaving(driver: CheckedDriver, tmp_path: Path) -> None:
    """A writer that is fenced keeps its draft until it is closed, as another one's put keeps its own (F1, T2)."""
    fenced = driver.open_writer("key")
    fenced.write(b"fenced")
    driver.put("key", b"data")
    assert len(drafts(tmp_path)) == 1
    with pytest.raises(FencedError):
        fenced.close()
    assert drafts(tmp_path) == []


def test_a_process_that_lives_is_fenced_by_the_loss_of_its_draft(driver: CheckedDriver, tmp_path: Path) -> None:
    """Should two processes write one key, the one that opened first is told, however often it tries (F1, F3)."""
    writer = driver.open_writer("key")
    writer.write(b"by the first")
    other = CheckedDriver(PyFilesystemDriver(Store(Address("osfs", root=str(tmp_path)))))  # as a process has it
    with other.open_writer("key") as taking_over:
        taking_over.write(b"by the other")
        for _ in range(2):
            with pytest.raises(FencedError):
                writer.flush()
    assert driver.get("key", 100) == b"by the other"


def misled(rename: Rename, lie: str) -> Rename:
    """Return a rename that claims to be one."""

    def renamed(self: Directory, source: str, target: str) -> None:
        if "/blobs/" not in target:
            return rename(self, source, target)
        if lie == "elsewhere":
            rename(self, source, f"{target}.1")
        if lie == "in part":
            rename(self, source, target)
            os.truncate(self._fs.getsyspath(target), 100)
        return None

    return renamed


@pytest.mark.parametrize("lie", ["not at all", "elsewhere", "in part"])
@pytest.mark.parametrize("old", [None, b"damaged"])
def test_a_rename_that_did_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str, old: bytes | None
) -> None:
    """Where the filesystem says that it renamed, and did not, no finish returns, and no upload is removed for it."""
    store, wanted = layerstore.open(f"pyfs+osfs://{tmp_path}"), Digest("sha256", sha256(DATA).hexdigest())
    if old:
        store.driver.put(layout.blob(wanted), old)
    upload = store.upload("a")
    upload.write(DATA)
    upload.flush()
    monkeypatch.setattr(Directory, "rename", misled(Directory.rename, lie))
    with pytest.raises(BackendUnavailableError, match="said that it renamed"):
        upload.finish(wanted)
    assert not store.exists("a", wanted)
    assert [info.uuid for info in store.uploads("a")] == ([upload.uuid] if old or lie != "elsewhere" else [])


def test_a_flush_whose_rename_did_not_is_told(driver: CheckedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a flush has published something of another size than what was written, that is an error (W6)."""
    driver.put("key", b"old")
    writer = driver.open_writer("key")
    writer.write(b" and new")
    monkeypatch.setattr(Directory, "rename", lambda *_: None)
    with pytest.raises(BackendUnavailableError, match="11 bytes were published, 3 are there"):
        writer.flush()
    writer.discard()

"""Paths below the root, by one system call or by steps; and the root, which stays open."""

import errno
import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore.keys import is_key
from layerstore_conformance.kit.descriptors import descriptors
from layerstore_drivers.local import LocalDriver, system, tree
from layerstore_drivers.local.system import DIRECTORY, Lasting, open_beneath
from layerstore_drivers.local.tree import REMEMBERED, Remembered, Tree

FILE = os.O_RDONLY | os.O_NONBLOCK
WAYS = {
    "dir": None,
    "dir/sub": None,
    "dir/file": NotADirectoryError,
    "none": FileNotFoundError,
    "dir/none/x": FileNotFoundError,
    "dir/file/x": NotADirectoryError,
    "link": NotADirectoryError,
    "link/sub": NotADirectoryError,
    "dir/loop/x": NotADirectoryError,
}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a directory with one of everything below."""
    (tmp_path / "dir" / "sub").mkdir(parents=True)
    (tmp_path / "dir" / "file").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to(tmp_path / "dir")
    (tmp_path / "dir" / "loop").symlink_to("loop")
    return tmp_path


def _opened(top: Path, path: str, flags: int) -> type[OSError] | None:
    directory = os.open(top, DIRECTORY)
    try:
        os.close(open_beneath(directory, path, flags))
    except OSError as error:
        return type(error)
    finally:
        os.close(directory)
    return None


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("path", WAYS)
def test_a_directory_is_entered_through_directories_only(top: Path, path: str) -> None:
    """Missing is told from what is in the way, a symlink being no directory, by either road."""
    assert _opened(top, path, DIRECTORY) is WAYS[path]


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("path", ["link", "link/file", "dir/loop", "..", "dir/../..", "/etc/passwd"])
def test_nothing_but_what_is_below_is_opened(top: Path, road: str, path: str) -> None:
    """No symlink is opened or followed, and the kernel lets no path lead up or to the top of the system."""
    assert _opened(top, path, FILE) is not None or (road != "openat2" and not is_key(path))


@pytest.mark.usefixtures("road")
def test_no_descriptor_is_left_on_the_way(top: Path) -> None:
    """By either road, whatever is found at the end, or in the way (T4)."""
    driver = CheckedDriver(LocalDriver(top / "dir"))

    def use() -> int:
        driver.put("a/b/c/d", b"1")
        driver.stat("a/b/c/d")
        driver.move("a/b/c/d", "a/e/f/g")
        with driver.open_writer("a/e/f/g") as writer:
            writer.write(b"2")
        for key in ("a/b/c/d", "a/e/f", "file/x/y", "none/x/y/z"):
            assert driver.find(key) is None
            assert list(driver.list(key)) in ([], ["a/e/f/g"])
        for path in WAYS:
            _opened(top, path, FILE)
        driver.delete("a")
        return descriptors()

    assert use() == use() == use()


@pytest.mark.usefixtures("road")
def test_a_path_that_is_longer_than_the_system_takes_is_opened(tmp_path: Path) -> None:
    """What another program has made below a prefix may be deeper than any key; it goes with the prefix (D1)."""
    (tmp_path / "a").mkdir()
    parent = os.open(tmp_path / "a", DIRECTORY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=parent)
        below = os.open("d" * 250, DIRECTORY, dir_fd=parent)
        os.close(parent)
        parent = below
    os.close(parent)
    LocalDriver(tmp_path).delete("a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_where_the_call_is_refused_steps_are_taken(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """An older system, or a sandbox: it is asked once, and then not counted on."""

    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(system, "_bound", lambda: refused)
    assert system._openat2.__wrapped__() is None


def test_a_system_that_cannot_ask_without_waiting_is_asked_to_wait(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 5.6 to 5.11 know the call, but not that it may be asked of what is in memory only."""
    if system._openat2() is None:
        pytest.skip("the system has no openat2, or forbids it")
    monkeypatch.setattr(system, "_CACHED", 1 << 40)  # a flag that no system knows
    openat2 = system._bound()
    monkeypatch.setattr(system, "_openat2", lambda: openat2)
    assert _opened(top, "dir/sub", DIRECTORY) is None


@pytest.mark.parametrize("number", [errno.EINTR, errno.EAGAIN])
@pytest.mark.parametrize("times", [2, 1 << 30])
def test_a_call_that_is_cut_short_is_made_again(
    top: Path, monkeypatch: pytest.MonkeyPatch, number: int, times: int
) -> None:
    """A signal, or a rename on the way, is no error; where there is no end of it, steps are taken."""
    cut: list[int] = []

    def shaky(directory: int, path: str, flags: int) -> int:
        if len(cut) < times:
            cut.append(number)
            raise OSError(number, os.strerror(number))
        return os.open(path, flags, dir_fd=directory)

    monkeypatch.setattr(system, "_openat2", lambda: shaky)
    assert _opened(top, "dir/sub", DIRECTORY) is None
    assert len(cut) >= 2


def test_a_key_is_found_in_one_call_however_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is openat2, ``stat`` opens the object once, asks twice for a record, and opens nothing else."""
    if (openat2 := system._openat2()) is None:
        pytest.skip("the system has no openat2, or forbids it")
    driver, calls = CheckedDriver(LocalDriver(tmp_path)), list[str]()
    driver.put("/".join("deep"), b"")

    def counted(directory: int, path: str, flags: int) -> int:
        calls.append(path)
        return openat2(directory, path, flags)

    monkeypatch.setattr(system, "_openat2", lambda: counted)
    monkeypatch.setattr(os, "open", None)
    driver.stat("d/e/e/p")
    assert [path.split("/")[0] for path in calls] == [".layerstore", "d", ".layerstore"]


def _restored(root: Path) -> None:
    shutil.copytree(root, root.with_name("copy"))
    shutil.rmtree(root)
    root.with_name("copy").rename(root)


def _moved_aside(root: Path) -> None:
    shutil.copytree(root, root.with_name("copy"))
    root.rename(root.with_name("old"))
    root.with_name("copy").rename(root)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("replace", [_restored, _moved_aside])
def test_a_root_that_was_replaced_is_found(tmp_path: Path, replace: Callable[[Path], None]) -> None:
    """A driver that is open reads and writes what is under its root's path by now, never the one that was."""
    root = tmp_path / "root"
    driver = CheckedDriver(LocalDriver(root))
    driver.put("a/b", b"old")
    replace(root)
    (root / "a" / "b").write_bytes(b"restored")
    assert driver.get("a/b", 99) == b"restored"
    driver.put("a/c", b"new")
    assert (root / "a" / "c").read_bytes() == b"new"
    assert driver.get("a/c", 99) == b"new"


@pytest.mark.parametrize("key", ["a/b", "a/new"])
def test_a_flush_makes_no_root(tmp_path: Path, key: str) -> None:
    """A writer flushes into the root that it was opened in, or not at all; its discard leaves others alone (E2)."""
    root = tmp_path / "root"
    driver = CheckedDriver(LocalDriver(root))
    driver.put("a/b", b"old")
    writer = driver.open_writer(key)
    writer.write(b"unflushed")
    root.rename(aside := tmp_path / "aside")
    with pytest.raises(BackendUnavailableError):
        writer.flush()
    assert not root.exists()
    driver.put("a/b", b"of another root")
    with pytest.raises(FencedError):
        writer.flush()
    later = driver.open_writer(key)
    later.write(b"!")
    writer.discard()
    later.close()
    assert driver.get(key, 99).endswith(b"!")
    assert list(LocalDriver(aside).list("a")) == ["a/b"]
    assert LocalDriver(aside).stat("a/b").size == 3


def test_a_writer_in_a_root_that_was_replaced_is_alive(tmp_path: Path) -> None:
    """Its driver began a session in the root that was: others that sweep the new one look for one there (T2)."""
    root = tmp_path / "root"
    driver = CheckedDriver(LocalDriver(root))
    driver.put("a/b", b"old")
    _restored(root)
    writer = driver.open_writer("a/b")
    writer.write(b"er")
    CheckedDriver(LocalDriver(root)).put("c", b"sweeps")
    writer.close()
    assert driver.get("a/b", 99) == b"older"


@pytest.mark.usefixtures("road")
def test_a_root_that_is_gone_is_an_unavailable_backend(tmp_path: Path) -> None:
    """That the driver had it open does not hide that it is gone, in no operation; a put makes it anew (E2)."""
    root = tmp_path / "root"
    driver = CheckedDriver(LocalDriver(root))
    driver.put("a/b", b"old")
    acts = (
        driver.stat,
        driver.open_reader,
        driver.delete,
        lambda key: driver.move(key, "c"),
        lambda _: list(driver.list("")),
    )
    shutil.rmtree(root)
    for act in acts:
        with pytest.raises(BackendUnavailableError):
            act("a/b")
    driver.put("a/c", b"new")
    assert (root / "a" / "c").read_bytes() == b"new"
    with pytest.raises(PathNotFoundError):
        driver.stat("a/b")


def test_a_root_stays_open_while_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That another thread finds the root replaced, and lets go of it, closes no descriptor under a call's feet."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    used = Tree(root)

    def meanwhile(directory: int, path: str, flags: int) -> int:
        _restored(root)
        assert not used.is_current()
        gc.collect()
        return open_beneath(directory, path, flags)

    monkeypatch.setattr(tree, "open_beneath", meanwhile)
    with pytest.raises(FileNotFoundError):  # in the root that was
        used.enter("a", "a/b")


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("end", ["close", "del"])
def test_the_descriptor_of_the_root_is_given_back(tmp_path: Path, end: str) -> None:
    """Closed or collected, a driver leaves no descriptor; replaced, a root leaves none either (T3, T4)."""
    (tmp_path / "root").mkdir()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    driver = LocalDriver(tmp_path / "root")
    for _ in range(5):
        assert list(driver.list("")) == []
        _restored(tmp_path / "root")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    if end == "close":
        driver.close()
    else:
        del driver
    assert len(os.listdir("/proc/self/fd")) == before


def _identity(number: int) -> Lasting:
    return 1, 1, bytes([number % 256, number // 256])


def test_a_removed_directory_is_forgotten_with_all_below() -> None:
    """What is made anew under its path may have its number, and is to be synced (C4)."""
    known = Remembered()
    paths = ["a", "a/b", "a/b/c", "ab", "a/c"]
    for number, path in enumerate(paths):
        known.remember(path, _identity(number))
    known.forget("a/b")
    assert [known.knows(path, _identity(number)) for number, path in enumerate(paths)] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_no_more_than_so_many_directories_are_remembered() -> None:
    """Beyond the limit all are forgotten; those that were removed do not count."""
    known = Remembered()
    for number in range(REMEMBERED // 2):
        known.remember(f"upload/{number}", _identity(number))
        known.forget(f"upload/{number}")
    for number in range(REMEMBERED):
        known.remember(f"layer/{number}", _identity(number))
    assert known.knows("layer/0", _identity(0))
    known.remember("one/more", _identity(1))
    assert not known.knows("layer/0", _identity(0))
    assert known.knows("one/more", _identity(1))

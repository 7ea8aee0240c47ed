"""The modes of files and directories: all that the umask leaves (docs/local.md, permissions)."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set a umask, for files that this process makes."""
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


def test_files_and_directories_have_what_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    """However an object was stored, its file has mode 0666 and the directories above 0777, less the umask."""
    driver = CheckedDriver(LocalDriver(tmp_path / "store"))
    driver.put("put/dir/key", b"put")
    driver.put("source/key", b"moved")
    driver.move("source/key", "moved/dir/key")
    for key in ("written/dir/key", "put/dir/key"):
        with driver.open_writer(key) as writer:
            writer.write(b"written")
    driver.put("rewritten/dir/key", b"before")
    with driver.open_writer("rewritten/dir/key") as writer:
        writer.seek(0)
        writer.write(b"written")
    found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "store").rglob("*")}
    assert found == {path: (0o777 if path.is_dir() else 0o666) & ~umask for path in found}
    assert sum(path.name == "key" for path in found) == 4


def test_who_may_not_set_a_time_writes_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not own an object's file may append to it, and cut what another has left, and set no time of it."""
    driver, real = CheckedDriver(LocalDriver(tmp_path)), os.utime
    driver.put("key", b"one")
    driver.open_writer("key").write(b"not flushed")

    def utime(path: int, ns: tuple[int, int] | None = None) -> None:
        if ns is not None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        real(path)

    with monkeypatch.context() as patched:
        driver.put("before", b"")  # when a driver begins, it tries the times of a file of its own
        patched.setattr(os, "utime", utime)
        version, modified = driver.stat("key").version, driver.stat("key").modified
        with driver.open_writer("key") as writer:
            assert driver.stat("key").version == version == writer.version
            writer.write(b", two")
        assert driver.get("key", 100) == b"one, two"
        assert driver.stat("key").version != version
        assert driver.stat("key").modified >= modified

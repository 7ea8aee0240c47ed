"""File systems that cannot do what the driver rests on, and strange things in its private area: it says so."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import BackendUnavailableError
from layerstore_drivers.local import LocalDriver, system
from layerstore_drivers.local.area import lock_name, record_name

WRITES: dict[str, Callable[[CheckedDriver], object]] = {
    "put": lambda driver: driver.put("a", b""),
    "open_writer": lambda driver: driver.open_writer("a"),
}


def _raise(number: int) -> None:
    raise OSError(number, os.strerror(number))


@pytest.fixture
def old_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount an ext4 whose inodes of 128 bytes have no room for parts of a second."""
    image, directory = tmp_path / "image", tmp_path / "disk"
    directory.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("mounting a file system needs root and mkfs.ext4; times cut to seconds are tested")
    subprocess.run(["mkfs.ext4", "-q", "-F", "-I", "128", str(image)], check=True, capture_output=True, timeout=60)
    mount = ["mount", "-o", "loop", str(image), str(directory)]
    if subprocess.run(mount, check=False, capture_output=True, timeout=60).returncode:
        pytest.skip("no loop device; times cut to seconds are tested")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True, timeout=60)


@pytest.mark.parametrize("act", WRITES)
def test_a_disk_with_times_in_whole_seconds_is_refused(old_disk: Path, act: str) -> None:
    """Nothing is stored where two versions could look the same; what is there can be read (S2)."""
    (old_disk / "a").write_bytes(b"foreign")
    driver = CheckedDriver(LocalDriver(old_disk))
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match=r"not keep times in nanoseconds.*docs/local\.md"):
            WRITES[act](driver)
    assert driver.get("a", 9) == b"foreign"
    assert list((old_disk / ".layerstore" / "sessions").iterdir()) == []


@pytest.mark.parametrize("step", [1_000_000_000, 1_000, 100], ids=["seconds", "microseconds", "100 ns"])
def test_coarse_times_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """However they are cut off: a time that we set has to be what is found (S2)."""
    real = os.utime
    monkeypatch.setattr(os, "utime", lambda fd, ns: real(fd, ns=(ns[0] // step * step, ns[1] // step * step)))
    with pytest.raises(BackendUnavailableError, match="does not keep times in nanoseconds"):
        CheckedDriver(LocalDriver(tmp_path)).put("a", b"")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("act", WRITES)
def test_directories_that_cannot_be_synced_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, number: int
) -> None:
    """Not as an invalid argument: the message says what is missing, where, and what to do (C4, E1)."""
    real = os.fsync

    def refusing(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            _raise(number)
        real(fd)

    monkeypatch.setattr(os, "fsync", refusing)
    with pytest.raises(BackendUnavailableError, match=f"{tmp_path}.* directories cannot be synced.*docs/local.md"):
        WRITES[act](CheckedDriver(LocalDriver(tmp_path)))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("act", WRITES)
def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, number: int
) -> None:
    """The message says what is missing, where, and what to do (C3, E1)."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: _raise(number))
    with pytest.raises(BackendUnavailableError, match=f"{tmp_path}.* without flock.*docs/local.md"):
        WRITES[act](CheckedDriver(LocalDriver(tmp_path)))


@pytest.mark.parametrize("fail", [system.sync_directory, system.refuse_coarse_times])
def test_another_failure_is_not_taken_for_what_a_file_system_cannot(fail: Callable[[int], None]) -> None:
    """A bad descriptor stays one."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        fail(1 << 20)


MAKE: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "directory": os.mkdir,
    "symlink": lambda path: os.symlink("elsewhere", path),
}

PLACES = {
    "lock": f"locks/{lock_name(record_name('a'))}",
    "record": f"writers/{record_name('a')}",
    "another record": f"writers/{record_name('b')}",
    "no record": "writers/note",
    "temporary file": "tmp/dead.1",
    "session": "sessions/dead",
}


def _move_over(driver: CheckedDriver) -> None:
    driver.put("c", b"")
    driver.move("c", "a")


def _each(driver: CheckedDriver) -> dict[str, str]:
    """Do everything with a key, and return what was refused."""
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: driver.put("a", b"new"),
        "write": lambda: driver.open_writer("a").close(),
        "stat": lambda: driver.stat("a"),
        "move": lambda: _move_over(driver),
        "delete": lambda: driver.delete("a"),
    }
    refused = {}
    for name, act in acts.items():
        try:
            act()
        except BackendUnavailableError as error:
            refused[name] = str(error)
    return refused


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_in_the_way_in_the_private_area_blocks_nobody(tmp_path: Path, place: str, make: str) -> None:
    """Nothing waits for its other end: all is done, or refused with the path of what is in the way; it stays (E1)."""
    LocalDriver(tmp_path).put("a", b"old")
    path = tmp_path / ".layerstore" / PLACES[place]
    path.unlink(missing_ok=True)
    MAKE[make](path)
    kind = path.lstat().st_mode
    refused = _each(CheckedDriver(LocalDriver(tmp_path)))
    assert all(f"{path} is no file" in said for said in refused.values())
    assert bool(refused) == (place in {"lock", "record"} and (place, make) != ("lock", "fifo"))
    assert path.lstat().st_mode == kind


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("part", ["locks", "writers", "tmp", "sessions", ""])
def test_what_is_in_the_place_of_a_directory_of_the_private_area_is_named(tmp_path: Path, part: str, make: str) -> None:
    """So too where a whole directory of the driver's own is something else (E1)."""
    if make == "directory":
        pytest.skip("that is what belongs there")
    (tmp_path / ".layerstore").mkdir()
    path = tmp_path / ".layerstore" / part
    if not part:
        path.rmdir()
    MAKE[make](path)
    with pytest.raises(BackendUnavailableError, match=rf"{tmp_path}/.layerstore(/\w+)? is no directory"):
        CheckedDriver(LocalDriver(tmp_path)).put("a", b"")

"""Cold readings of a local store: the file is out of memory, or the driver says that it is not."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from layerstore import PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore.url import StoreURL
from layerstore_drivers.local import LocalDriver

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the page cache is asked by a system call of Linux")

SIZE = 4 << 20


def is_in_memory(path: Path) -> bool:
    """Ask the system for a byte in the middle, if that can be had without waiting; it may begin to fetch it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(fd, [bytearray(1)], SIZE // 2, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def file_system(path: Path) -> str:
    """Return the kind of file system that a path is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return max((mount for mount in mounts if path.is_relative_to(mount[0])), key=lambda mount: len(mount[0]))[1]


def store(root: Path) -> CheckedDriver:
    """Store an object below a root, flushed."""
    driver = CheckedDriver(LocalDriver.open(StoreURL("local", None, str(root))), "local")
    with driver.open_writer("key") as writer:
        writer.write(bytes(SIZE))
    return driver


def test_what_is_dropped_has_to_be_read_from_the_disk(tmp_path: Path) -> None:
    """On a disk nothing of the object is in memory afterwards, and it reads back the same."""
    if file_system(tmp_path) not in {"ext4", "xfs", "btrfs"}:
        pytest.skip("not on a disk whose cache the system drops")
    driver = store(tmp_path)
    assert is_in_memory(tmp_path / "key")
    assert driver.drop_cache("key")
    assert not is_in_memory(tmp_path / "key")
    assert driver.get("key", SIZE) == bytes(SIZE)


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Make a directory on a file system that is all memory."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def test_what_is_only_in_memory_is_not_said_to_be_dropped(in_memory: Path) -> None:
    """On a tmpfs there is no cold reading, and none is promised."""
    assert not store(in_memory).drop_cache("key")


def test_nothing_is_dropped_of_a_key_that_is_not_there(tmp_path: Path) -> None:
    """A missing key is an error as everywhere."""
    with pytest.raises(PathNotFoundError):
        store(tmp_path).drop_cache("other")

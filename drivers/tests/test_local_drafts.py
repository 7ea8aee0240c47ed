"""Drafts: what is written before the end goes to a copy of the object, however that can be copied."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore import NoSpaceError
from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver, system

MIB = 1 << 20


def _without(patch: pytest.MonkeyPatch) -> None:
    patch.delattr(os, "copy_file_range", raising=False)


def _refusing(patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    patch.setattr(os, "copy_file_range", refuse, raising=False)


def _in_pieces(patch: pytest.MonkeyPatch) -> None:
    real = os.copy_file_range
    patch.setattr(
        os, "copy_file_range", lambda source, target, count, *at: real(source, target, min(count, 70_001), *at)
    )


def _as_a_clone(patch: pytest.MonkeyPatch) -> None:
    """Have a file share all its blocks, as xfs and btrfs do: what is copied here is the whole file, too."""

    def ioctl(target: int, request: int, source: int) -> int:
        assert request == system._FICLONE
        os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)
        return 0

    patch.setattr(fcntl, "ioctl", ioctl)


WAYS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "as a clone": _as_a_clone,
    "as the system does": lambda patch: None,
    "in pieces": _in_pieces,
    "not by the system": _without,
    "not between filesystems": _refusing,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_draft_begins_as_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Of an object of several MiB every byte that was not written over stays, flushed and not yet flushed (W5)."""
    driver = CheckedDriver(LocalDriver(tmp_path))
    model = bytearray(os.urandom(2 * MIB + MIB // 2))
    driver.put("a", bytes(model))
    WAYS[way](monkeypatch)
    for offset, length in ((0, 1), (1, 4), (MIB - 2, MIB + 3), (MIB, MIB), (2 * MIB, MIB)):
        with driver.open_writer("a") as writer:
            writer.write(b"appended")
            writer.seek(offset)
            writer.write(b"x" * length)
        model += b"appended"
        model[offset : offset + length] = b"x" * length
        assert driver.get("a", 9 * MIB) == bytes(model)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, 2 * MIB + 5])
def test_a_copy_is_of_the_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, size: int) -> None:
    """Behind them may be what is not flushed (W7), and the place at which a descriptor stands says nothing."""
    data = os.urandom(3 * MIB)
    (tmp_path / "source").write_bytes(data)
    WAYS[way](monkeypatch)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        os.lseek(source.fileno(), 777, os.SEEK_SET)
        system.copy_bytes(source.fileno(), target.fileno(), size)
    assert (tmp_path / "target").read_bytes() == data[:size]


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("not")])
def test_a_copy_that_failed_half_way_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The disk is full, and then has room: the write is done, and nothing is lost (W2, W8)."""
    driver, real, data = CheckedDriver(LocalDriver(tmp_path)), os.pwrite, os.urandom(3 * MIB)
    driver.put("a", data)
    WAYS[way](monkeypatch)

    def full(fd: int, part: bytes, offset: int) -> int:
        if offset > MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, part, offset)

    with driver.open_writer("a") as writer:
        for _ in range(2):
            writer.seek(1)
            with monkeypatch.context() as patched:
                patched.setattr(os, "pwrite", full)
                with pytest.raises(NoSpaceError):
                    writer.write(b"!")
        writer.seek(1)
        writer.write(b"!")
    assert driver.get("a", 9 * MIB) == data[:1] + b"!" + data[2:]


@pytest.mark.parametrize("act", ["put", "open_writer"])
def test_the_directory_of_temporary_files_may_vanish(tmp_path: Path, act: str) -> None:
    """It stays open, and an administrator may remove it all the same: it is made once more."""
    driver = CheckedDriver(LocalDriver(tmp_path))
    driver.put("a", b"old")
    (tmp_path / ".layerstore" / "tmp").rmdir()
    if act == "put":
        driver.put("a", b"new")
    else:
        with driver.open_writer("a") as writer:
            writer.seek(0)
            writer.write(b"new")
    assert driver.get("a", 9) == b"new"
    assert list((tmp_path / ".layerstore" / "tmp").iterdir()) == []


def _flush(driver: CheckedDriver) -> None:
    with driver.open_writer("dir/new") as writer:
        writer.write(b"new")


PLACING: dict[str, Callable[[CheckedDriver], None]] = {
    "put": lambda driver: driver.put("dir/new", b"new"),
    "flush": _flush,
    "move": lambda driver: driver.move("source", "dir/new"),
}


@pytest.mark.parametrize("act", PLACING)
def test_a_directory_deleted_just_after_it_was_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Another process deletes the prefix, which is empty: that is no reason for a put, a flush or a move to fail."""
    driver = CheckedDriver(LocalDriver(tmp_path))
    driver.put("source", b"new")
    real, deleted = os.rename, list[str]()

    def rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if target == "new" and len(deleted) < 2:
            (tmp_path / "dir").rmdir()
            deleted.append(target)
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", rename)
    PLACING[act](driver)
    assert driver.get("dir/new", 9) == b"new"
    assert len(deleted) == 2

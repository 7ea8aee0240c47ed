"""Drafts: what is written before the end goes to a copy of the object, however that can be copied."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver

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


WAYS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
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

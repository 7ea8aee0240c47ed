"""Defects that show when power is lost, planted in what the trace says was synced; and of age."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.errors import DriverError, FencedError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import planted, planted_in_core
from layerstore_conformance.powerloss.trace import UNSYNCED


@planted_in_core("C4")
def files_are_not_synced() -> Iterator[None]:
    """The bytes of files are not synced."""
    with _unsynced("file"):
        yield


@planted_in_core("C4")
def directories_are_not_synced() -> Iterator[None]:
    """The names of files are not synced: their directories are not."""
    with _unsynced("directory"):
        yield


@contextmanager
def _unsynced(kind: str) -> Iterator[None]:
    UNSYNCED.add(kind)
    try:
        yield
    finally:
        UNSYNCED.discard(kind)


@planted_in_core("W8", "C4")
def failed_syncs_are_repeated() -> Iterator[None]:
    """A sync that fails is tried again at once, and then succeeds."""

    def insisting(sync: Callable[[int], None]) -> Callable[[int], None]:
        def twice(fd: int) -> None:
            with suppress(OSError):
                return sync(fd)
            return sync(fd)

        return twice

    with patch.object(os, "fsync", insisting(os.fsync)), patch.object(os, "fdatasync", insisting(os.fdatasync)):
        yield


@planted_in_core("P1", "C4")
def a_put_syncs_its_bytes_last() -> Iterator[None]:
    """A put syncs the new name, and then the bytes that it names."""
    fsync, put = os.fsync, CheckedDriver.put
    postponed: list[int] | None = None

    def synced(fd: int) -> None:
        if postponed is not None and S_ISREG(os.fstat(fd).st_mode):
            postponed.append(os.dup(fd))
        else:
            fsync(fd)

    def put_first(self: CheckedDriver, key: str, data: bytes) -> None:
        nonlocal postponed
        postponed = []
        try:
            put(self, key, data)
        finally:
            for fd in postponed:
                fsync(fd)
                os.close(fd)
            postponed = None

    with patch.object(os, "fsync", synced), patch.object(CheckedDriver, "put", put_first):
        yield


@planted_in_core("C4", "D4")
def what_others_named_is_not_synced() -> Iterator[None]:
    """A directory is synced only after the driver itself has changed it, not if another process has."""
    changed: set[int] = set()
    fsync = os.fsync

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **named: Any) -> Any:  # noqa: ANN401  (as there)
            result = call(*args, **named)
            directories = [fd for name, fd in named.items() if name.endswith("dir_fd") and fd is not None]
            changed.update(os.fstat(fd).st_ino for fd in directories)
            return result

        return called

    def synced(fd: int) -> None:
        status = os.fstat(fd)
        if not S_ISDIR(status.st_mode) or status.st_ino in changed:
            changed.discard(status.st_ino)
            fsync(fd)

    calls: dict[str, Any] = {name: noted(getattr(os, name)) for name in ("mkdir", "unlink", "rmdir", "rename", "link")}
    with patch.multiple(os, fsync=synced, **calls):
        yield


@planted_in_core("C4", "D4")
def a_directory_that_stays_is_not_synced() -> Iterator[None]:
    """A directory that cannot be removed, because something is in it, is not synced after the removals from it."""
    stays: set[int] = set()
    fsync, rmdir = os.fsync, os.rmdir

    def removed(name: str, *, dir_fd: int | None = None) -> None:
        try:
            rmdir(name, dir_fd=dir_fd)
        except OSError:
            with suppress(OSError):
                stays.add(os.stat(name, dir_fd=dir_fd).st_ino)
            raise

    def synced(fd: int) -> None:
        if os.fstat(fd).st_ino not in stays:
            fsync(fd)

    with patch.multiple(os, fsync=synced, rmdir=removed):
        yield


class _FencedByAFailure(DefectiveWriter):
    _failed = False

    def publish(self) -> str:
        if self._failed:
            raise FencedError(self.key)
        self._failed = True
        version = super().publish()
        self._failed = False
        return version


@planted("W8")
class AFailedFlushFencesItsWriter(WriterDefect):
    """A flush that fails cannot be tried again: the writer takes what it has done itself for another's."""

    writer = _FencedByAFailure


class _HalfStored(DefectiveWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        except (DriverError, OSError):
            with suppress(DriverError, OSError):
                self.driver.inner.put(self.key, b"half")
            raise


@planted("E4", "W8")
class AFailedFlushShows(WriterDefect):
    """What a flush that fails has stored so far is seen."""

    writer = _HalfStored


@planted_in_core("T2", "W6")
def old_drafts_are_swept() -> Iterator[None]:
    """Whatever of the driver's own looks old is taken for a dead writer's, and removed by the next put."""
    utime, put = os.utime, CheckedDriver.put
    old: list[Path] = []

    def noticed(path: Path, **times: Any) -> None:  # noqa: ANN401  (as there)
        utime(path, **times)
        old.append(path)

    def swept(self: CheckedDriver, key: str, data: bytes) -> None:
        put(self, key, data)
        while old:
            path = old.pop()
            if path.is_file() and any(part.startswith(".") for part in path.parts):
                path.unlink()

    with patch.object(os, "utime", noticed), patch.object(CheckedDriver, "put", swept):
        yield

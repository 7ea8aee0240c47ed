"""Defects that show when power is lost, planted in what the trace says was synced; and of age."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.defect import planted_in_core
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

"""What the measurements share: a place, the bytes of a layer, and the steps of an upload."""

from __future__ import annotations

import mmap
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from described import Recorder
from findings import Finding
from floors import Pieces
from interleaved import Seconds, Way, interleave

import layerstore
from layerstore import LayerService
from layerstore.uploads.spool import measure
from layerstore_conformance.kit.payloads import Payload

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

DISTINCT = 16
"""Pieces of a layer that differ, before it repeats itself."""

REPOSITORY = "bench"


class Machine:
    """Where to measure, how large, and how often; and which code that runs."""

    def __init__(self, folder: Path, *, size: int, rounds: int) -> None:
        """Measure in ``folder`` with layers of ``size`` bytes."""
        self.folder = folder
        self.size = size
        self.rounds = rounds
        self.filesystem = _filesystem(folder)
        self.recorder = Recorder()

    def bound(self, disk: float, *, tmpfs: float) -> float:
        """Return the bound that holds on the file system of the folder."""
        return tmpfs if self.filesystem == "tmpfs" else disk

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """Make a directory on the disk to be measured, and take it away."""
        made = Path(tempfile.mkdtemp(dir=self.folder, prefix="layerstore-targets-"))
        try:
            yield made
        finally:
            shutil.rmtree(made)

    def interleave(self, ways: dict[str, Way]) -> Seconds:
        """Time several ways; the first round, which is not counted, is watched."""
        return interleave(ways, self.rounds, self.recorder.listening())


def _filesystem(folder: Path) -> str:
    """Return the kind of a folder's file system, as ``ext4``."""
    words = ["findmnt", "--noheadings", "--output=FSTYPE", f"--target={folder}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]  # the last one mounted


def pieces_of(size: int, piece: int) -> Pieces:
    """Return the pieces of a layer; none is copied or made while they are handed out."""
    payload = Payload("targets")
    made = [payload.read(piece, number * piece) for number in range(min(DISTINCT, size // piece))]
    return lambda: islice(cycle(made), size // piece)


def pieces_in(data: bytes) -> Pieces:
    """Return the pieces of these bytes, of a MiB each; none is copied or made while they are handed out."""
    made = [data[start : start + MIB] for start in range(0, len(data), MIB)]
    return lambda: iter(made)


def touch(size: int) -> None:
    """Write so many bytes of memory once, and give it back.

    A virtual machine gets its memory from its host, a page at the first write: that takes longer than all else that a
    page of a file costs. With twice the bytes of a layer the cache has enough for either of two.
    """
    blank = bytes(MIB)
    with mmap.mmap(-1, size) as area:
        for _ in range(size // MIB):
            area.write(blank)


def upload(store: LayerService, pieces: Pieces, wanted: str, name: str = REPOSITORY) -> None:
    """Store a layer, and verify it."""
    handle = store.upload(name)
    for piece in pieces():
        handle.write(piece)
    handle.finish(wanted).close()


def read_back(store: LayerService, key: str, wanted: str) -> None:
    """Read an object by the driver, and hash it."""
    with store.driver.open_reader(key) as reader:
        assert str(measure(reader, layerstore.Digest.parse(wanted))) == wanted


def begun(store: LayerService, pieces: Pieces) -> layerstore.LayerUpload:
    """Begin an upload and store everything, so that nothing but ``finish`` is left to do."""
    handle = store.upload(REPOSITORY)
    for piece in pieces():
        handle.write(piece)
    handle.flush()
    return handle


def emptied(folder: Path) -> Callable[[], None]:
    """Return what empties a directory."""

    def empty() -> None:
        for each in folder.iterdir():
            each.unlink() if each.is_file() else shutil.rmtree(each)

    return empty


def at_most(target: str, bound: float, measured: float, seconds: Seconds) -> Finding:
    """Tell what should be at most ``bound``."""
    return {"target": target, "measured": measured, "bound": bound, "atleast": False, "seconds": seconds}


def at_least(target: str, bound: float, measured: float, seconds: Seconds) -> Finding:
    """Tell what should be at least ``bound``."""
    return {"target": target, "measured": measured, "bound": bound, "atleast": True, "seconds": seconds}

"""Floors: straight-line programs that do what layerstore does, and nothing else."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

MIB = 1 << 20
Pieces = Callable[[], Iterator[bytes]]
"""The bytes of a layer, anew at every call."""


def hash_alone(pieces: Pieces) -> str:
    """Hash."""
    hasher = hashlib.sha256()
    for piece in pieces():
        hasher.update(piece)
    return hasher.hexdigest()


def store_durably(pieces: Pieces, folder: Path) -> str:
    """Write a file, hash it in a second thread, sync it, rename it to its digest, and sync the directory."""
    waiting: SimpleQueue[bytes | None] = SimpleQueue()
    hasher = hashlib.sha256()

    def hash_all() -> None:
        while (piece := waiting.get()) is not None:
            hasher.update(piece)

    thread = threading.Thread(target=hash_all)
    thread.start()
    fd = os.open(folder / "incoming", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    for piece in pieces():
        waiting.put(piece)
        os.write(fd, piece)
    waiting.put(None)
    os.fsync(fd)
    os.close(fd)
    thread.join()
    os.rename(folder / "incoming", folder / hasher.hexdigest())
    sync(folder)
    return hasher.hexdigest()


def write_small(pieces: Pieces, path: Path) -> str:
    """Write at offsets and hash, in one thread, and sync nothing."""
    hasher, at = hashlib.sha256(), 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    for piece in pieces():
        hasher.update(piece)
        at += os.pwrite(fd, piece, at)
    os.close(fd)
    return hasher.hexdigest()


def read_file(path: Path) -> int:
    """Read a file from its beginning to its end, and hash nothing."""
    buffer, total = bytearray(MIB), 0
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            total += count
    return total


def small_layer(data: bytes, root: Path) -> str:
    """Store a small layer under the keys that layerstore stores it under, with a sync wherever that needs one."""
    digest = hashlib.sha256(data).hexdigest()
    with suppress(FileExistsError):
        os.mkdir(root / "blobs" / digest[:2])
        sync(root / "blobs")
    put(make(root / "blobs" / digest[:2], digest) / "data", data)
    put(make(root / "layers", digest) / "link", f"sha256:{digest}".encode("ascii"))
    return digest


def make(parent: Path, name: str) -> Path:
    """Make a directory that lasts."""
    os.mkdir(parent / name)
    sync(parent)
    return parent / name


def put(path: Path, data: bytes) -> None:
    """Store a small file that lasts."""
    new = path.with_suffix(".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.rename(new, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file or directory last."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)

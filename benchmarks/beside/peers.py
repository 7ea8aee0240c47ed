"""Peers: other libraries doing the same work, store and hash and make durable, through their own public interfaces.

Each hashes as its user would, piece by piece beside the writing. None of them syncs by itself but where it says so; the
file and its directory are synced here, as a user who wants the bytes to last has to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import fs.osfs
import fsspec
import obstore
import obstore.store
import opendal
from floors import Pieces, sync


def with_fsspec(pieces: Pieces, folder: Path) -> str:
    """Store by fsspec's local file system."""
    files, hasher = fsspec.filesystem("file"), hashlib.sha256()
    with files.open(str(folder / "incoming"), "wb") as file:
        for piece in pieces():
            hasher.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    files.mv(str(folder / "incoming"), str(folder / hasher.hexdigest()))
    sync(folder)
    return hasher.hexdigest()


def with_obstore(pieces: Pieces, folder: Path) -> str:
    """Store by obstore's writer, which uploads parts beside the caller."""
    store, hasher = obstore.store.LocalStore(str(folder)), hashlib.sha256()
    with obstore.open_writer(store, "incoming") as writer:
        for piece in pieces():
            hasher.update(piece)
            writer.write(piece)
    sync(folder / "incoming")
    obstore.rename(store, "incoming", hasher.hexdigest())
    sync(folder)
    return hasher.hexdigest()


def with_opendal(pieces: Pieces, folder: Path) -> str:
    """Store by opendal's file service."""
    operator, hasher = opendal.Operator("fs", root=str(folder)), hashlib.sha256()
    with operator.open("incoming", "wb") as file:
        for piece in pieces():
            hasher.update(piece)
            file.write(piece)
    sync(folder / "incoming")
    operator.rename("incoming", hasher.hexdigest())
    sync(folder)
    return hasher.hexdigest()


def with_pyfilesystem(pieces: Pieces, folder: Path) -> str:
    """Store by PyFilesystem2's OSFS."""
    files, hasher = fs.osfs.OSFS(str(folder)), hashlib.sha256()
    with files.openbin("incoming", "w", buffering=0) as file:
        for piece in pieces():
            hasher.update(piece)
            file.write(piece)
        os.fsync(file.fileno())
    files.move("incoming", hasher.hexdigest())
    sync(folder)
    return hasher.hexdigest()


PEERS: dict[str, Callable[[Pieces, Path], str]] = {
    "fsspec": with_fsspec,
    "obstore": with_obstore,
    "opendal": with_opendal,
    "PyFilesystem2": with_pyfilesystem,
}

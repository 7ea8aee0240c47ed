"""The whole suite, on PyFilesystem2's MemoryFS."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from layerstore import StoreURL
from layerstore_conformance.harness import Harness, How, changed
from layerstore_conformance.kit.litter import HARMLESS, TOLD, file_of
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.pyfilesystem.driver import PyFilesystemDriver

URL = StoreURL("pyfs+mem", "conformance")


def memory() -> Any:  # noqa: ANN401  (fs has no types)
    """Return the filesystem that the store is in: nobody but this process can reach it."""
    files = PyFilesystemDriver.open(URL)._store.files
    files.connect()
    return files._fs


def tamper(key: str, how: How) -> None:
    """Change a file by what PyFilesystem2 has for that; it cannot set back when a file was changed."""
    if how == "make":
        memory().makedirs(key.rpartition("/")[0], recreate=True)
    before: bytes = b"" if how == "make" else memory().readbytes(key)
    data = changed(before, how)
    if data is None or how.startswith("remake"):
        memory().remove(key)
    if data is None:
        return
    if how == "append":
        memory().appendbytes(key, data[len(before) :])
    elif how == "replace-quietly":
        with memory().openbin(key, "r+") as file:
            file.write(data)
    else:
        memory().writebytes(key, data)


@contextmanager
def foreign(prefix: str) -> Iterator[list[str]]:
    """Put below a prefix what no key can name."""
    top = memory()
    made = [f"/{prefix}".rsplit("/", depth)[0] for depth in range(prefix.count("/") + 1)]
    made = [path for path in made if not top.exists(path)]
    names = [f"{prefix}/{name}" for name in (*TOLD, *HARMLESS)]
    for name in names:
        top.makedirs(file_of(name).rpartition("/")[0], recreate=True)
        top.writebytes(file_of(name), b"of no key")
    try:
        yield [f"{prefix}/{name}" for name in TOLD]
        assert all(map(top.exists, names)), "some were taken away"
    finally:
        for name in filter(top.exists, names):
            top.removetree(name) if top.isdir(name) else top.remove(name)
        for path in made:
            if top.exists(path) and top.isempty(path):
                top.removedir(path)


@pytest.fixture(scope="session")
def layerstore_harness() -> Harness:
    """Return a store in this process."""
    return Harness(str(URL), tamper=tamper, foreign=foreign, another="pyfs+mem://another")

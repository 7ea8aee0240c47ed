"""The whole suite, on PyFilesystem2's TempFS."""

from pathlib import Path

import pytest

from layerstore import StoreURL
from layerstore_conformance.harness import Harness
from layerstore_conformance.other_programs import littering, tampering
from layerstore_conformance.suite import *  # noqa: F403  (a module of a driver author's: the suite takes it over)
from layerstore_drivers.pyfilesystem.driver import PyFilesystemDriver

URL = StoreURL("pyfs+temp", "conformance")


def directory() -> Path:
    """Return the temporary directory that the store is in."""
    files = PyFilesystemDriver.open(URL)._store.files
    files.connect()
    return Path(files._fs.getsyspath("/"))


@pytest.fixture(scope="session")
def layerstore_harness() -> Harness:
    """Return a store in this process."""
    root = directory()
    tamper = tampering(root, lambda key: (root / key).read_bytes())
    return Harness(str(URL), tamper=tamper, foreign=littering(root))

"""A store that keeps all its objects in one file, written anew for each change: durable, small, and slow."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from layerstore import open_driver
from layerstore.driver import Writer
from layerstore_conformance.kit.keys import WHOLE, keys_below
from layerstore_conformance.kit.passing import PassingDriver, PassingWriter


class InOneFile(PassingDriver):
    """A store in memory, filled from a file that it keeps up to date."""

    def __init__(self, directory: Path) -> None:
        """Open the store in a directory."""
        self.store = open_driver("memory:")
        super().__init__(self.store)
        self.path = directory / "objects"
        if self.path.exists():
            for key, data in pickle.loads(self.path.read_bytes()).items():
                self.inner.put(key, data)

    def open_writer(self, key: str) -> Writer:
        """Open a writer whose flushes are kept."""
        return _Kept(self.inner.open_writer(key), self)

    def put(self, key: str, data: bytes) -> None:
        """Put, and keep it."""
        super().put(key, data)
        self.keep()

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and keep that."""
        super().move(source, target, version=version)
        self.keep()

    def delete(self, key: str) -> None:
        """Delete, and keep that."""
        super().delete(key)
        self.keep()

    def keep(self) -> None:
        """Write the file anew, and durably."""
        draft = self.path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(pickle.dumps({key: self.store.get(key, WHOLE) for key in keys_below(self.store, "")}))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)


class _Kept(PassingWriter):
    def __init__(self, inner: Writer, driver: InOneFile) -> None:
        super().__init__(inner)
        self._driver = driver

    def publish(self) -> str:
        version = super().publish()
        self._driver.keep()
        return version

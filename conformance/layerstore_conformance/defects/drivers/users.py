"""Defects of drivers that keep files: what they make or do shuts other users of the system out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore import keys
from layerstore_conformance.engine.defect import DefectiveDriver, planted, planted_in_core

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer


@planted("C3", "F1")
class FilesAreForTheirUserOnly(DefectiveDriver):
    """The files of a put are made as temporary ones are, which nobody but their user may read or write."""

    def put(self, key: str, data: bytes) -> None:
        """Put, and keep it from everybody else."""
        before = os.umask(0o077)
        try:
            self.inner.put(key, data)
        finally:
            os.umask(before)


@planted("R1", "S1")
class LooksTakeWhatWasWrittenTo(DefectiveDriver):
    """A look at an object that had a writer takes it over for a moment, and so needs the right to write."""

    def open_writer(self, key: str) -> Writer:
        """Open one, and remember."""
        self.memory.setdefault("written", set()).add(key)
        return self.inner.open_writer(key)

    def stat(self, key: str) -> Stat:
        """Take it, and look."""
        self._take(key)
        return self.inner.stat(key)

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Take it, and read."""
        self._take(key)
        return self.inner.open_reader(key, offset)

    def _take(self, key: str) -> None:
        if key in self.memory.get("written", ()):
            self.inner.open_writer(key).discard()


@planted_in_core("L6", "L1")
def directories_of_the_disk_are_looked_into() -> Iterator[None]:
    """The directory in which a disk keeps what it has found is taken for one of the store."""
    before = keys.HARMLESS
    keys.HARMLESS = re.compile(before.pattern.replace(r"lost\+found|", ""))
    try:
        yield
    finally:
        keys.HARMLESS = before

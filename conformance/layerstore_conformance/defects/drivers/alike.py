"""Defects that show when two writers, or two processes, are alike: the names of one are those of the other."""

from __future__ import annotations

import itertools
import os
import random
import time
from dataclasses import replace

from layerstore.driver import Stat, Writer
from layerstore.errors import FencedError
from layerstore_conformance.defects.drivers.fencing import ReplayingWriter
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class _NamesWriters(DefectiveDriver):
    """Keeps the name of an object's writer beside the object; a writer whose name is there is not fenced."""

    def open_writer(self, key: str) -> Writer:
        """Open a writer, and note its name."""
        writer, name = self.inner.open_writer(key), self.name()
        self.inner.put(_owner(key), name.encode())
        return _NamedWriter(self, writer, name)

    def name(self) -> str:
        """Return a name for a writer."""
        raise NotImplementedError


def _owner(key: str) -> str:
    return f"{key}-owner"


class _NamedWriter(ReplayingWriter):
    def __init__(self, driver: DefectiveDriver, inner: Writer, name: str) -> None:
        super().__init__(driver, inner)
        self._name = name

    def fenced(self, error: FencedError) -> str:
        with self.driver.inner.open_reader(_owner(self.key)) as reader:
            if reader.read().decode() != self._name:
                raise error
        return self.take_over()


@planted("F1", "F3")
class WritersNamedByChance(_NamesWriters):
    """A writer's name is drawn from the random numbers that the program seeds."""

    def name(self) -> str:
        """Draw it."""
        return str(random.random())


@planted("F1", "F3")
class WritersNamedByTheClock(_NamesWriters):
    """A writer's name is the time at which it was opened."""

    def name(self) -> str:
        """Look at the clock."""
        return str(time.time())


@planted("F1", "F3", "C3")
class WritersNamedByTheirProcess(_NamesWriters):
    """A writer's name is the number of its process, and its own in that process."""

    def name(self) -> str:
        """Count."""
        numbers = self.memory.setdefault("numbers", itertools.count())
        return f"{os.getpid()}-{next(numbers)}"


@planted("S2")
class VersionsDrawnByChance(DefectiveDriver):
    """A version is drawn from the random numbers that the program seeds, when it is first asked for."""

    def stat(self, key: str) -> Stat:
        """Return the version that was drawn."""
        found = self.inner.stat(key)
        drawn: dict[str, str] = self.memory.setdefault("drawn", {})
        return replace(found, version=drawn.setdefault(found.version, str(random.random())))

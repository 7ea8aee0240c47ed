"""Defects of several stores in one process: what belongs to one is taken for another's."""

from __future__ import annotations

from layerstore.driver import Stat, Writer
from layerstore.errors import FencedError
from layerstore_conformance.defects.drivers.writing import DefectiveWriter, WriterDefect
from layerstore_conformance.engine.defect import DefectiveDriver, planted


class OwningWriter(DefectiveWriter):
    """Has its key by a table of the driver's, where the next writer of the key takes its place."""

    def __init__(self, driver: DefectiveDriver, inner: Writer) -> None:
        super().__init__(driver, inner)
        self._owners: dict[str, Writer] = driver.memory.setdefault("owners", {})
        self._owners[self.entry()] = self

    def entry(self) -> str:
        """Return under which name the table has the key."""
        return self.key

    def publish(self) -> str:
        """Publish, if nobody has taken its place."""
        if self._owners[self.entry()] is not self:
            raise FencedError(self.key)
        return super().publish()


@planted("T2", "F3")
class OwnersOfAllStores(WriterDefect):
    """The table of who has which key is one for all stores of a process."""

    writer = OwningWriter


class _ForgettingWriter(DefectiveWriter):
    def publish(self) -> str:
        try:
            return super().publish()
        finally:
            self.driver.memory.pop(f"stat of {self.key}", None)


@planted("T2", "S1")
class ObjectsKnownByTheirKeysAlone(WriterDefect):
    """What ``stat`` has told is kept until the object is changed, by its key, for all stores of a process."""

    writer = _ForgettingWriter

    def stat(self, key: str) -> Stat:
        """Tell what is known."""
        known: Stat = self.memory.setdefault(f"stat of {key}", self.inner.stat(key))
        return known

    def put(self, key: str, data: bytes) -> None:
        """Put, and forget."""
        self.inner.put(key, data)
        self.memory.pop(f"stat of {key}", None)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move, and forget."""
        self.inner.move(source, target, version=version)
        for key in (source, target):
            self.memory.pop(f"stat of {key}", None)

    def delete(self, prefix: str) -> None:
        """Delete, and forget."""
        self.inner.delete(prefix)
        for name in list(self.memory):
            if f"{name}/".startswith(f"stat of {prefix}/"):
                self.memory.pop(name, None)

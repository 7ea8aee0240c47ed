"""Families of leaks: a descriptor stays open after calls of one kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore.errors import PathNotFoundError
from layerstore_conformance.engine.defect import DefectiveDriver, planted
from layerstore_conformance.kit.descriptors import Descriptor
from layerstore_conformance.kit.keys import is_stored

if TYPE_CHECKING:
    from layerstore.driver import Reader, Scanned, Stat

CALLS = (
    "stat of a prefix",
    "reader of a prefix",
    "listing of nothing",
    "scan",
    "delete of nothing",
    "put below an object",
)


@planted("T4", after=CALLS)
class DescriptorKeptAfter(DefectiveDriver):
    """A descriptor stays open after each call of a kind."""

    def stat(self, key: str) -> Stat:
        """Look for an object, and leave the prefix open."""
        try:
            return self.inner.stat(key)
        except PathNotFoundError:
            self._after("stat of a prefix", happened=self._is_prefix(key))
            raise

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Look for an object, and leave the prefix open."""
        try:
            return self.inner.open_reader(key, offset)
        except PathNotFoundError:
            self._after("reader of a prefix", happened=self._is_prefix(key))
            raise

    def list(self, prefix: str) -> Iterator[str]:
        """List, and leave what is missing open."""
        self._after("listing of nothing", happened=not self._is_prefix(prefix))
        return self.inner.list(prefix)

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Scan, and leave it open."""
        self._after("scan", happened=True)
        return self.inner.scan(prefix)

    def delete(self, key: str) -> None:
        """Delete, and leave what is missing open."""
        self._after("delete of nothing", happened=not is_stored(self.inner, key) and not self._is_prefix(key))
        self.inner.delete(key)

    def put(self, key: str, data: bytes) -> None:
        """Put, and leave the object above open."""
        self._after("put below an object", happened=is_stored(self.inner, key.rpartition("/")[0] or key))
        self.inner.put(key, data)

    def _is_prefix(self, key: str) -> bool:
        return next(self.inner.list(key), None) is not None

    def _after(self, call: str, *, happened: bool) -> None:
        if happened and call == self.at["after"]:
            self.memory.setdefault("held", []).append(Descriptor())


@planted("T4")
class DescriptorForEachLeftKey(DefectiveDriver):
    """A driver looks at everything beside the first key that it puts, and keeps each thing open."""

    _looked = False

    def put(self, key: str, data: bytes) -> None:
        """Look, and put."""
        if not self._looked:
            self._looked = True
            beside = list(self.inner.scan(key.rpartition("/")[0]))
            self.memory.setdefault("held", []).extend(Descriptor() for _ in beside)
        self.inner.put(key, data)

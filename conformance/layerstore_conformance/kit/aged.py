"""A driver of which some objects are older than they are, until they are written anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from layerstore_conformance.kit.passing import PassingDriver, PassingWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from layerstore.driver import Driver, Stat, Writer


class AgedDriver(PassingDriver):
    """Any driver, with an age that is added to that of each object; several handles may share the ages."""

    def __init__(self, inner: Driver, ages: dict[str, timedelta]) -> None:
        """Take the ages by key; what is written, moved or deleted loses its own."""
        super().__init__(inner)
        self.ages = ages

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        found = self.inner.stat(key)
        return replace(found, modified=found.modified - self.ages[key]) if key in self.ages else found

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        return _AgedWriter(self.inner.open_writer(key), lambda: self.ages.pop(key, None))

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self.inner.put(key, data)
        self.ages.pop(key, None)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self.inner.move(source, target, version=version)
        self.ages.pop(source, None)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self.inner.delete(key)
        self.ages.pop(key, None)


class _AgedWriter(PassingWriter):
    def __init__(self, inner: Writer, published: Callable[[], object]) -> None:
        super().__init__(inner)
        self._published = published

    def publish(self) -> str:
        version = super().publish()
        self._published()
        return version

    def publish_last(self) -> None:
        self.inner.end()
        self._published()

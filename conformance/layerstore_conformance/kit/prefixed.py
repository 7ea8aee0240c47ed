"""A driver below a prefix of another one: so every scenario has a store of its own in a shared backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from layerstore.driver import Driver, Reader, Scanned, Stat, Writer
from layerstore_conformance.kit.passing import PassingDriver


class PrefixedDriver(PassingDriver):
    """Any driver, every key below a prefix. Errors have the whole key."""

    def __init__(self, driver: Driver, prefix: str) -> None:
        """Put every key below ``prefix``, itself a key."""
        super().__init__(driver)
        self.prefix = prefix

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`."""
        return self.inner.open_reader(self._below(key), offset)

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        return self.inner.open_writer(self._below(key))

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self.inner.put(self._below(key), data)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        return self.inner.stat(self._below(key))

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        whole = self._below(prefix) if prefix else self.prefix
        return (child.removeprefix(f"{self.prefix}/") for child in self.inner.list(whole))

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`."""
        whole = self._below(prefix) if prefix else self.prefix
        for child in self.inner.scan(whole):
            if isinstance(child, str):
                yield child.removeprefix(f"{self.prefix}/")
            else:
                yield replace(child, name=child.name.removeprefix(f"{self.prefix}/"))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self.inner.move(self._below(source), self._below(target), version=version)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self.inner.delete(self._below(key))

    def drop_cache(self, key: str) -> bool:
        """See :meth:`DropsCache.drop_cache`."""
        return super().drop_cache(self._below(key))

    def _below(self, key: str) -> str:
        return f"{self.prefix}/{key}"

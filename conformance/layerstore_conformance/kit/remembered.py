"""A driver that is asked everything once: to read a store at rest many times takes few requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from layerstore import PathNotFoundError
from layerstore.driver import Driver, Reader, Scanned, Stat, Writer
from layerstore_conformance.kit.passing import PassingDriver


class RememberedDriver(PassingDriver):
    """Any driver that nobody else uses: what it has answered it answers again, until something is changed by it."""

    def __init__(self, inner: Driver) -> None:
        """Remember nothing yet."""
        super().__init__(inner)
        self._known: dict[tuple[str, str], Any] = {}

    def _once(self, method: str, key: str, ask: Callable[[], Any]) -> Any:  # noqa: ANN401  (what it answers)
        if (method, key) not in self._known:
            try:
                self._known[method, key] = ask()
            except PathNotFoundError:
                self._known[method, key] = None
        if self._known[method, key] is None:
            raise PathNotFoundError(key)
        return self._known[method, key]

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`."""
        size, version, data = self._once("open_reader", key, lambda: self._read(key))
        return _RememberedReader(key, size, version, offset, data)

    def _read(self, key: str) -> tuple[int, str, bytes]:
        with self.inner.open_reader(key) as reader:
            return reader.size, reader.version, reader.readall()

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        found: Stat = self._once("stat", key, lambda: self.inner.stat(key))
        return found

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return iter(self._once("list", prefix, lambda: tuple(self.inner.list(prefix))))

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`."""
        return iter(self._once("scan", prefix, lambda: tuple(self.inner.scan(prefix))))

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        self._known.clear()
        return super().open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self._known.clear()
        super().put(key, data)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self._known.clear()
        super().move(source, target, version=version)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self._known.clear()
        super().delete(key)


class _RememberedReader(Reader):
    def __init__(self, key: str, size: int, version: str, position: int, data: bytes) -> None:
        super().__init__(key, size, version, position)
        self._data = data

    def read_at(self, offset: int, buffer: memoryview) -> int:
        found = self._data[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        return len(found)

"""A driver as a third party writes one: objects in a dict, in a distribution of its own that knows nothing of ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Lock
from typing import Any, NamedTuple, Self

from layerstore.driver import Capabilities, Driver, Reader, Stat, Writer
from layerstore.errors import FencedError, InvalidOffsetError, InvalidURLError, PathNotFoundError
from layerstore.hookspecs import hookimpl
from layerstore.url import StoreURL


class Version(NamedTuple):
    """One published version of an object."""

    data: bytes
    stat: Stat


class Store:
    """What all drivers of one name share."""

    def __init__(self) -> None:
        """Begin empty."""
        self.lock = Lock()
        self.objects: dict[str, Version] = {}
        self.owners: dict[str, int] = {}
        self.turns = itertools.count(1)

    def replace(self, key: str, data: bytes) -> Stat:
        """Make a new version of an object."""
        stat = Stat(len(data), datetime.now(UTC), str(next(self.turns)))
        self.objects[key] = Version(data, stat)
        return stat

    def find(self, key: str) -> Version:
        """Return an object."""
        if key not in self.objects:
            raise PathNotFoundError(key)
        return self.objects[key]


STORES: dict[str, Store] = {}


class DictReader(Reader):
    """Reads the bytes that were there when it was opened."""

    def __init__(self, key: str, version: Version, offset: int) -> None:
        """Open a version."""
        super().__init__(key, version.stat.size, version.stat.version, offset)
        self._data = version.data

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Copy."""
        buffer[:] = self._data[offset : offset + len(buffer)]
        return len(buffer)

    def release(self) -> None:
        """Forget the bytes."""
        self._data = b""


class DictWriter(Writer):
    """Writes to a buffer of its own."""

    def __init__(self, store: Store, key: str, version: Version | None, turn: int) -> None:
        """Open a version, or a new object."""
        super().__init__(key, version.stat.size if version else 0, version.stat.version if version else None)
        self._store = store
        self._buffer = bytearray(version.data if version else b"")
        self._turn = turn
        self._changed = version is None

    def write_at(self, offset: int, data: memoryview) -> None:
        """Overlay the buffer, and what an interrupted write has left beyond the end."""
        del self._buffer[self.size :]
        self._buffer.extend(bytes(max(0, offset - len(self._buffer))))
        self._buffer[offset : offset + len(data)] = data
        self._changed = True

    def publish(self) -> str:
        """Make the buffer an object."""
        with self._store.lock:
            if self._store.owners.get(self.key) != self._turn:
                raise FencedError(self.key)
            if self._changed:
                self._store.replace(self.key, bytes(self._buffer[: self.size]))
            self._changed = False
            return self._store.objects[self.key].stat.version

    def release(self) -> None:
        """Forget the buffer."""
        self._buffer = bytearray()


class DictDriver(Driver):
    """Objects in a dict."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=False, durable=False)

    def __init__(self, store: Store) -> None:
        """Work on a store."""
        self._store = store

    @classmethod
    def open(cls, url: StoreURL, **_options: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open the store of the URL's host; there is no path."""
        if url.path:
            raise InvalidURLError(str(url), "expected dict://name")
        return cls(STORES.setdefault(url.host or "", Store()))

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open what is published."""
        with self._store.lock:
            version = self._store.find(key)
        if offset > version.stat.size:
            raise InvalidOffsetError(key, f"offset {offset} of {version.stat.size} bytes")
        return DictReader(key, version, offset)

    def open_writer(self, key: str) -> Writer:
        """Take the key over."""
        with self._store.lock:
            turn = self._store.owners[key] = next(self._store.turns)
            return DictWriter(self._store, key, self._store.objects.get(key), turn)

    def put(self, key: str, data: bytes) -> None:
        """Replace."""
        with self._store.lock:
            self._store.owners.pop(key, None)
            self._store.replace(key, data)

    def stat(self, key: str) -> Stat:
        """Look."""
        with self._store.lock:
            return self._store.find(key).stat

    def list(self, prefix: str) -> Iterator[str]:
        """Fold what lies below the prefix."""
        below = f"{prefix}/" if prefix else ""
        with self._store.lock:
            parts = [key[len(below) :].partition("/") for key in self._store.objects if key.startswith(below)]
        return iter(sorted({below + name + slash for name, slash, _ in parts}))

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Name the bytes anew."""
        with self._store.lock:
            found = self._store.find(source)
            if version not in (None, found.stat.version):
                raise FencedError(source, f"at version {found.stat.version}")
            for key in (source, target):
                self._store.owners.pop(key, None)
            self._store.replace(target, found.data)
            del self._store.objects[source]

    def delete(self, key: str) -> None:
        """Drop a key and all below it."""
        with self._store.lock:
            for known in (self._store.owners, self._store.objects):
                for each in [each for each in known if each == key or each.startswith(f"{key}/")]:
                    del known[each]


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Answer to the scheme ``dict``."""
    return DictDriver

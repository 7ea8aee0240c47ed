"""The driver: seven methods over keys, on the calls of a service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from layerstore.driver import Capabilities, Driver, Scanned, Stat
from layerstore.errors import PathNotFoundError
from layerstore.keys import MAX_KEY
from layerstore.objectstore import listing
from layerstore.objectstore.hold import Hold, take
from layerstore.objectstore.move import move
from layerstore.objectstore.reader import ObjectReader, open_reader
from layerstore.objectstore.store import Store
from layerstore.objectstore.writer import ObjectWriter
from layerstore.threads.pool import Pool

if TYPE_CHECKING:
    from layerstore.objectstore.service import Service

PIECE = 8 << 20
"""Bytes of a piece, unless the driver is given another size."""

THREADS = 4
"""Pieces of one writer that are under way at once."""

BESIDE = 8 << 20
"""Bytes of memory beside a writer's pieces: a reader's, the client's and layerstore's own."""


class ObjectStoreDriver(Driver):
    """Objects in an object store; an author's class adds ``open``, which makes the service."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=True, durable=True)

    def __init__(self, service: Service, prefix: str = "", *, piece: int = PIECE, threads: int = THREADS) -> None:
        """Store below ``prefix``, empty or with a slash at its end; a piece has as many bytes as ``piece`` says.

        Raises:
            ValueError: the service does not take such small parts, or names of the prefix with a key behind it.
        """
        if piece < service.limits.least_part:
            raise ValueError(f"a piece has at least {service.limits.least_part} bytes, not {piece}")
        room = service.limits.name_bytes - MAX_KEY
        if len(prefix.encode()) > room:
            raise ValueError(f"the prefix has at most {room} bytes with its slash: a key has up to {MAX_KEY}")
        memory = (threads + 3) * piece + BESIDE
        self.capabilities = Capabilities(nested_keys=True, shared=True, durable=True, memory=memory)
        self._store = Store(service, prefix)
        self._piece = piece
        self._pool = Pool(threads, "pieces")
        self._holds: WeakValueDictionary[str, Hold] = WeakValueDictionary()
        """The last writer of each key, while somebody has it."""

    def open_reader(self, key: str, offset: int = 0) -> ObjectReader:
        """See :meth:`Driver.open_reader`."""
        return open_reader(self._store, key, offset)

    def open_writer(self, key: str) -> ObjectWriter:
        """See :meth:`Driver.open_writer`."""
        self._store.writable(key)
        hold = self._holds[key] = Hold(self._store, key, *take(self._store, key, self._piece))
        return ObjectWriter(hold, self._pool)

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self._store.writable(key)
        self._store.put(key, data)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        state = self._store.look(key)
        if state is None or state.size is None:
            raise PathNotFoundError(key)
        return Stat(state.size, state.modified, state.version)

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return listing.children(self._store, prefix)

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`."""
        return listing.scan(self._store, prefix)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        hold = self._holds.pop(source, None)
        move(self._store, source, target, version, piece=self._piece, known=hold.known() if hold else None)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        listing.delete(self._store, key)

    def is_plain(self, key: str) -> bool:
        """Return whether an object lies under its key as it is, so that others can be sent there to read it.

        Raises:
            PathNotFoundError: nothing is published under the key.
        """
        state = self._store.look(key)
        if state is None or state.size is None:
            raise PathNotFoundError(key)
        return state.head is None

    def close(self) -> None:
        """Release the threads and the idle connections. Handles that are still open make new ones."""
        self._pool.close()
        self._store.service.close()

"""A PyFilesystem2 filesystem: an object is a file under its key."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from layerstore.driver import Capabilities, Driver, Foreign, Stat
from layerstore_drivers.pyfilesystem import address
from layerstore_drivers.pyfilesystem.address import Address
from layerstore_drivers.pyfilesystem.listing import children, scanned
from layerstore_drivers.pyfilesystem.reader import open_found
from layerstore_drivers.pyfilesystem.store import Store
from layerstore_drivers.pyfilesystem.writer import open_writer, sent

if TYPE_CHECKING:
    from layerstore.url import StoreURL
    from layerstore_drivers.pyfilesystem.reader import PyFilesystemReader
    from layerstore_drivers.pyfilesystem.writer import PyFilesystemWriter

_stores: dict[Address, Store] = {}
"""The stores that can be opened again while the process lives: they know which writer owns which key."""


class PyFilesystemDriver(Driver):
    """Files below a directory. Writers are fenced only within this process: PyFilesystem2 has no means for more."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=False, shared=False, durable=False)
    options = MappingProxyType(address.HELP)

    def __init__(self, store: Store) -> None:
        """Use a store of this process."""
        self._store = store

    @classmethod
    def open(cls, url: StoreURL, **given: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open ``pyfs+mem://NAME``, ``pyfs+temp://NAME``, ``pyfs+osfs:///PATH`` or ``pyfs+ftp://HOST/PATH``.

        Raises:
            InvalidURLError: it is none of these, or an option makes no sense.
        """
        where = Address.of(url, given)
        return cls(_shared(where) if where.is_shared else Store(where))

    def open_reader(self, key: str, offset: int = 0) -> PyFilesystemReader:
        """See :meth:`Driver.open_reader`."""
        with self._store.turn(key):
            return open_found(self._store, key, offset)

    def open_writer(self, key: str) -> PyFilesystemWriter:
        """See :meth:`Driver.open_writer`."""
        return open_writer(self._store, key)

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        with sent(self._store, key, BytesIO(data)) as draft, self._store.turn(key):
            self._store.put(draft, key)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        with self._store.turn(key):
            found = self._store.find(key)
        return Stat(found.size, found.modified, found.version)

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return children(self._store, prefix)

    def scan(self, prefix: str) -> Iterator[str | Foreign]:
        """See :meth:`Driver.scan`."""
        return scanned(self._store, prefix)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        with self._store.turn(source):
            self._store.move(source, target, version)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        with self._store.turn(key):
            self._store.delete(key)

    def close(self) -> None:
        """Give back the store's connection; handles and drivers that are still open make a new one."""
        self._store.disconnect()


def _shared(where: Address) -> Store:
    return _stores.get(where) or _stores.setdefault(where, Store(where))  # one step: two threads open one store

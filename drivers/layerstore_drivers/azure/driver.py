"""Azure Blob Storage, or its emulator: an object is a block blob under its key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakValueDictionary

from layerstore.driver import Capabilities, Driver, Scanned, Stat
from layerstore.errors import BackendUnavailableError, PathNotFoundError, UnsupportedOperationError
from layerstore.threads.pool import Pool
from layerstore_drivers.azure import listing
from layerstore_drivers.azure.blobs import Blobs, is_missing_container
from layerstore_drivers.azure.client import LASTS, Signing, connect
from layerstore_drivers.azure.credentials import find_access
from layerstore_drivers.azure.fence import Hold, take
from layerstore_drivers.azure.found import new_mark, published
from layerstore_drivers.azure.listing import make_way
from layerstore_drivers.azure.move import move
from layerstore_drivers.azure.options import EMULATOR_ACCOUNT, HELP, Address, read_settings
from layerstore_drivers.azure.reader import open_reader
from layerstore_drivers.azure.writer import AzureWriter

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

    from layerstore.url import StoreURL
    from layerstore_drivers.azure.credentials import Access
    from layerstore_drivers.azure.found import Found
    from layerstore_drivers.azure.options import Settings
    from layerstore_drivers.azure.reader import AzureReader

T = TypeVar("T")


class AzureDriver(Driver):
    """Block blobs below a prefix of a container. Nothing is kept beside the blobs."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=True, durable=True)
    options = MappingProxyType(HELP)

    def __init__(self, service: BlobServiceClient, access: Access, address: Address, chosen: Settings) -> None:
        """Store in a container."""
        self._service = service
        self._settings = chosen
        nested = not chosen.hierarchical
        self.capabilities = replace(type(self).capabilities, memory=chosen.memory, nested_keys=nested)
        container = service.get_container_client(address.container)
        emulated = address.account == EMULATOR_ACCOUNT
        self._blobs = Blobs(container, address.prefix, emulated=emulated, checksum=chosen.checksum)
        self._signing = Signing(service, self._blobs, access)
        self._pool = Pool(chosen.concurrency, "azure")
        self._holds: WeakValueDictionary[str, Hold] = WeakValueDictionary()
        """The last writer of each key, while somebody has it."""

    @classmethod
    def open(cls, url: StoreURL, **given: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open ``azure://ACCOUNT/CONTAINER[/PREFIX]`` or ``azure+emulator://CONTAINER[/PREFIX]``.

        Raises:
            InvalidURLError: no account or container, or an invalid option or connection string.
        """
        chosen = read_settings(url, given)
        address = Address.of(url, leading_slash=chosen.leading_slash)
        access = find_access(url, address, given, os.environ)
        service = connect(access, transport=chosen.transport, retries=chosen.retries, timeout=chosen.timeout)
        return cls(service, access, address, chosen)

    def open_reader(self, key: str, offset: int = 0) -> AzureReader:
        """See :meth:`Driver.open_reader`."""
        return open_reader(self._blobs, key, offset)

    def open_writer(self, key: str) -> AzureWriter:
        """See :meth:`Driver.open_writer`."""
        taken = self._creating(key, lambda: take(self._blobs, key, self._settings.block_size))
        hold = self._holds[key] = Hold(self._blobs, key, *taken)
        return AzureWriter(hold, self._pool, self._settings.block_size)

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self._creating(key, lambda: self._blobs.put(key, data, published(new_mark())))

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        found = self._blobs.look(key)
        if found is None or found.size is None:
            raise PathNotFoundError(key)
        return Stat(found.size, found.modified, found.version)

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return listing.children(self._blobs, prefix)

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`."""
        return listing.scan(self._blobs, prefix)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        hold = self._holds.pop(source, None)
        known = hold.now if hold else None
        self._placing(target, lambda: self._move(source, target, version, known))

    def _move(self, source: str, target: str, version: str | None, known: Found | None) -> None:
        if not self.capabilities.nested_keys:
            listing.check_place(self._blobs, target)
        move(self._blobs, self._signing, source, target, version, known)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        listing.delete(self._blobs, key)

    def redirect_url(self, key: str, lasts: timedelta = LASTS) -> str | None:
        """Return a URL by which anybody can read an object for some time; None if the credential cannot sign.

        Raises:
            PathNotFoundError: nothing is published under the key.
        """
        self.stat(key)
        return self._signing.readable_url(key, lasts)

    def close(self) -> None:
        """Release the threads and the idle connections. Handles that are still open make new ones."""
        self._pool.close()
        if self._settings.transport is None:  # the caller owns a transport that it passed in
            self._service.close()

    def _placing(self, key: str, act: Callable[[], T]) -> T:
        """Store under a key; try again after removing a thing in its place that is no object."""
        try:
            return act()
        except UnsupportedOperationError:
            if not make_way(self._blobs, key):
                raise
        return act()

    def _creating(self, key: str, act: Callable[[], T]) -> T:
        """Store under a key; make the container if it is missing and ``create_container`` is set."""
        try:
            return self._placing(key, act)
        except BackendUnavailableError as error:
            if not (self._settings.create_container and is_missing_container(error)):
                raise
        self._blobs.create_container()
        return self._placing(key, act)

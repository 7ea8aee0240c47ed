"""The front of every driver: it checks arguments before the driver sees them, and adds the driver's name to errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from layerstore.driver import Driver, DropsCache, Foreign, Reader, Scanned, Settles, SignsURLs, Stat, Writer
from layerstore.errors import (
    BackendUnavailableError,
    FencedError,
    InvalidOffsetError,
    InvalidPathError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore.handles import call_driver
from layerstore.keys import check_key, check_prefix, is_harmless, is_key

if TYPE_CHECKING:
    from datetime import timedelta

    from typing_extensions import Buffer

    from layerstore.url import StoreURL

HandleT = TypeVar("HandleT", Reader, Writer)
T = TypeVar("T")


class CheckedDriver(Driver):
    """Any driver, behind the checks of clauses K1 to K3, R2 and E1. This is what ``open_driver`` returns.

    The driver behind it gets only valid arguments. Its callers get every failure of storage as a ``DriverError`` that
    names the driver and the key.
    """

    contract_version = "1.0"

    def __init__(self, driver: Driver, scheme: str = "") -> None:
        """Put ``driver`` behind the front. Messages call it ``scheme`` or, if that is empty, by its class's name."""
        self.inner = driver
        self.scheme = scheme or type(driver).__name__
        self.capabilities = driver.capabilities
        self._closed = False

    @classmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open the URL's driver behind the front, as :func:`layerstore.open_driver` does."""
        raise NotImplementedError("layerstore.open_driver(url) puts the front before a driver")

    def __repr__(self) -> str:
        return f"<CheckedDriver {self.scheme} {type(self.inner).__name__}>"

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`.

        Raises:
            InvalidOffsetError: also for a negative offset.
        """
        self._check(key)
        if offset < 0:
            raise InvalidOffsetError(key, f"offset {offset}", self.scheme)
        return self._named(call_driver(self.scheme, key, self.inner.open_reader, key, offset))

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        self._check(key)
        return self._named(call_driver(self.scheme, key, self.inner.open_writer, key))

    def put(self, key: str, data: Buffer) -> None:
        """See :meth:`Driver.put`. ``data`` is any C-contiguous buffer."""
        self._check(key)
        call_driver(self.scheme, key, self.inner.put, key, data if type(data) is bytes else bytes(memoryview(data)))

    def get(self, key: str, limit: int) -> bytes:
        """Read a small object whole; of a larger one, its first ``limit`` bytes.

        Raises:
            PathNotFoundError: nothing under the key.
        """
        return self.read_version(key, lambda reader: reader.read(min(reader.size, limit)))

    def read_version(self, key: str, read: Callable[[Reader], T]) -> T:
        """Return what ``read`` makes of a reader of an object; it is called anew if the object is replaced meanwhile.

        Raises:
            PathNotFoundError: nothing under the key.
        """
        while True:
            with self.open_reader(key) as reader:
                try:
                    return read(reader)
                except BackendUnavailableError:
                    if self.stat(key).version == reader.version:
                        raise
                    # else it was replaced meanwhile, and that version can no longer be read (clause R4)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        self._check(key)
        return call_driver(self.scheme, key, self.inner.stat, key)

    def find(self, key: str) -> Stat | None:
        """Return the ``stat`` of a key, or None where nothing is under it."""
        try:
            return self.stat(key)
        except PathNotFoundError:
            return None

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`. The arguments are checked at the call, not at the first item."""
        self._check_prefix(prefix)
        return (child for child in self._children(prefix, self.inner.list) if isinstance(child, str))

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`. Harmless things are left out (:data:`layerstore.keys.HARMLESS`)."""
        self._check_prefix(prefix)
        children = self._children(prefix, self.inner.scan)
        return (child for child in children if isinstance(child, str) or not is_harmless(child.name))

    def _check_prefix(self, prefix: str) -> None:
        try:
            check_prefix(prefix)
        except InvalidPathError as error:
            raise error.named(self.scheme)  # noqa: B904  (the same error again)

    def _children(self, prefix: str, method: Callable[[str], Iterator[Scanned]]) -> Iterator[Scanned]:
        """Yield what a driver's method yields; a name that is no key becomes ``Foreign``."""
        children = call_driver(self.scheme, prefix, method, prefix)
        while (child := call_driver(self.scheme, prefix, next, children, None)) is not None:
            if isinstance(child, str) and not is_key(child.removesuffix("/")):
                yield Foreign(child, "a name that is no key")
            else:
                yield child

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`.

        Raises:
            InvalidPathError: also where source and target are one key.
        """
        self._check(source)
        self._check(target)
        if source == target:
            raise InvalidPathError(source, "moved onto itself", self.scheme)
        call_driver(self.scheme, source, self.inner.move, source, target, version=version)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self._check(key)
        call_driver(self.scheme, key, self.inner.delete, key)

    def drop_cache(self, key: str) -> bool:
        """See :meth:`DropsCache.drop_cache`; False for a driver that does not have it."""
        self._check(key)
        inner = self.inner
        return isinstance(inner, DropsCache) and call_driver(self.scheme, key, inner.drop_cache, key)

    def settle(self, key: str) -> bool:
        """See :meth:`Settles.settle`; the flush of a writer, for a driver that does not have it (W6.4)."""
        self._check(key)
        inner = self.inner
        if isinstance(inner, Settles):
            return call_driver(self.scheme, key, inner.settle, key)
        try:
            writer = self.open_writer(key)
        except UnsupportedOperationError:
            if self.find(key) is None:  # a prefix, say, where no object can be (C2)
                return False
            raise
        try:
            if writer.version is None:
                return False
            with suppress(FencedError):  # put there once more, and durably
                writer.flush()
            return True
        finally:
            writer.discard()

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """See :meth:`SignsURLs.redirect_url`; None for a driver that does not have it."""
        self._check(key)
        inner = self.inner
        return call_driver(self.scheme, key, inner.redirect_url, key, lasts) if isinstance(inner, SignsURLs) else None

    def close(self) -> None:
        """See :meth:`Driver.close`. The driver below is closed once (clause T3)."""
        if not self._closed:
            self._closed = True
            call_driver(self.scheme, "", self.inner.close)

    def _check(self, key: str) -> None:
        try:
            check_key(key)
        except InvalidPathError as error:
            raise error.named(self.scheme)  # noqa: B904  (the same error again)

    def _named(self, handle: HandleT) -> HandleT:
        handle.scheme = self.scheme
        return handle

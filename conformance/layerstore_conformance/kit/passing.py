"""A driver that passes every call on to another one: derive from it to watch, change, count or break something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from layerstore.driver import Driver, DropsCache, Reader, Scanned, Stat, Writer

if TYPE_CHECKING:
    from layerstore.url import StoreURL


class PassingDriver(Driver):
    """Another driver, unchanged."""

    contract_version = "1.0"

    def __init__(self, inner: Driver) -> None:
        """Pass on to ``inner``."""
        self.inner = inner
        self.capabilities = inner.capabilities

    @classmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Refuse: what is passed on to comes from a program, not from a URL."""
        raise NotImplementedError(f"{cls.__name__} is made of another driver, not of a URL")

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """See :meth:`Driver.open_reader`."""
        return self.inner.open_reader(key, offset)

    def open_writer(self, key: str) -> Writer:
        """See :meth:`Driver.open_writer`."""
        return self.inner.open_writer(key)

    def put(self, key: str, data: bytes) -> None:
        """See :meth:`Driver.put`."""
        self.inner.put(key, data)

    def stat(self, key: str) -> Stat:
        """See :meth:`Driver.stat`."""
        return self.inner.stat(key)

    def list(self, prefix: str) -> Iterator[str]:
        """See :meth:`Driver.list`."""
        return self.inner.list(prefix)

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """See :meth:`Driver.scan`. Of a driver derived from this that lists otherwise, it is that listing."""
        changed = type(self).list is not PassingDriver.list
        return self.list(prefix) if changed else self.inner.scan(prefix)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """See :meth:`Driver.move`."""
        self.inner.move(source, target, version=version)

    def delete(self, key: str) -> None:
        """See :meth:`Driver.delete`."""
        self.inner.delete(key)

    def drop_cache(self, key: str) -> bool:
        """See :meth:`DropsCache.drop_cache`; False for a driver that does not have it."""
        return isinstance(self.inner, DropsCache) and self.inner.drop_cache(key)

    def close(self) -> None:
        """See :meth:`Driver.close`."""
        self.inner.close()


class PassingReader(Reader):
    """Another reader, unchanged."""

    def __init__(self, inner: Reader) -> None:
        """Pass on to ``inner``."""
        self.inner = inner
        super().__init__(inner.key, inner.size, inner.version, inner.tell())

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """See :meth:`Reader.read_at`."""
        return self.inner.read_at(offset, buffer)

    def fileno(self) -> int:
        """Return the other's descriptor, if it has one."""
        return self.inner.fileno()

    def release(self) -> None:
        """See :meth:`Reader.release`."""
        self.inner.close()


class PassingWriter(Writer):
    """Another writer, unchanged."""

    def __init__(self, inner: Writer) -> None:
        """Pass on to ``inner``."""
        self.inner = inner
        super().__init__(inner.key, inner.size, inner.version)

    def write_at(self, offset: int, data: memoryview) -> None:
        """See :meth:`Writer.write_at`."""
        self.inner.seek(offset)
        self.inner.write(data)

    def publish(self) -> str:
        """See :meth:`Writer.publish`."""
        self.inner.flush()
        return self.inner.version or ""

    def publish_last(self) -> None:
        """See :meth:`Writer.publish_last`. Of a writer derived from this that publishes otherwise, it is that."""
        if type(self).publish is not PassingWriter.publish:
            self.publish()
        else:
            self.inner.end()

    def release(self) -> None:
        """See :meth:`Writer.release`."""
        self.inner.discard()

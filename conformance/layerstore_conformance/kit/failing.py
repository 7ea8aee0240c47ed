"""Drivers of which every call, or every call of a handle, fails as the operating system does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from layerstore_conformance.kit.passing import PassingDriver, PassingReader, PassingWriter

if TYPE_CHECKING:
    from datetime import timedelta

    from layerstore.driver import Driver, Reader, Scanned, Stat, Writer


class FailingDriver(PassingDriver):
    """Fails in every call."""

    def __init__(self, inner: Driver, number: int, kind: type[OSError] = OSError) -> None:
        """Fail by an error of this number (``errno.EIO``), or by one of a kind that has numbers of its own."""
        super().__init__(inner)
        self.number = number
        self.kind = kind

    def failure(self) -> OSError:
        """Return a fresh error."""
        return self.kind(self.number, "made to fail by the scenario")

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Fail."""
        raise self.failure()

    def open_writer(self, key: str) -> Writer:
        """Fail."""
        raise self.failure()

    def put(self, key: str, data: bytes) -> None:
        """Fail."""
        raise self.failure()

    def stat(self, key: str) -> Stat:
        """Fail."""
        raise self.failure()

    def list(self, prefix: str) -> Iterator[str]:
        """Fail, before anything is asked for."""
        raise self.failure()

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Fail, before anything is asked for."""
        raise self.failure()

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Fail."""
        raise self.failure()

    def delete(self, key: str) -> None:
        """Fail."""
        raise self.failure()

    def drop_cache(self, key: str) -> bool:
        """Fail."""
        raise self.failure()

    def settle(self, key: str) -> bool:
        """Fail."""
        raise self.failure()

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """Fail."""
        raise self.failure()

    def close(self) -> None:
        """Fail."""
        raise self.failure()


class FailingHalfWay(FailingDriver):
    """Fails in the middle of a listing or a scan."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield one, and fail."""
        yield f"{prefix}/first"
        raise self.failure()

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Yield one, and fail."""
        return self.list(prefix)


class FailingHandles(FailingDriver):
    """Opens readers and writers that fail."""

    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open a reader that fails."""
        return _FailingReader(self.inner.open_reader(key, offset), self)

    def open_writer(self, key: str) -> Writer:
        """Open a writer that fails."""
        return _FailingWriter(self.inner.open_writer(key), self)


class _FailingReader(PassingReader):
    def __init__(self, inner: Reader, driver: FailingDriver) -> None:
        super().__init__(inner)
        self._driver = driver

    def read_at(self, offset: int, buffer: memoryview) -> int:
        raise self._driver.failure()

    def release(self) -> None:
        super().release()
        raise self._driver.failure()


class _FailingWriter(PassingWriter):
    def __init__(self, inner: Writer, driver: FailingDriver) -> None:
        super().__init__(inner)
        self._driver = driver

    def write_at(self, offset: int, data: memoryview) -> None:
        raise self._driver.failure()

    def publish(self) -> str:
        raise self._driver.failure()


class FailingReleases(FailingHandles):
    """Opens writers that fail when they give back what they hold, too."""

    def open_writer(self, key: str) -> Writer:
        """Open such a writer."""
        return _FailingRelease(self.inner.open_writer(key), self)


class _FailingRelease(PassingWriter):
    def __init__(self, inner: Writer, driver: FailingDriver) -> None:
        super().__init__(inner)
        self._driver = driver

    def release(self) -> None:
        super().release()
        raise self._driver.failure()


class FailingCloses(PassingDriver):
    """Counts how often it is closed, and fails each time, or not at all; what is behind it stays open."""

    def __init__(self, inner: Driver, error: Exception | None) -> None:
        """Fail by this error, if it is one."""
        super().__init__(inner)
        self.error = error
        self.closed = 0

    def close(self) -> None:
        """Count, and fail."""
        self.closed += 1
        if self.error is not None:
            raise self.error

"""What a driver author writes: seven methods over keys, and the two handles that two of them return.

The contract is docs/contract.md; the clauses named here (K1, W3, ...) are its. Argument checks, the naming of errors
and everything else that can be done once is done once, here and in :mod:`layerstore.checked`: the methods of a driver
are only called with arguments that are in order.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import index
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Self, TypeAlias, TypeVar

from layerstore.errors import BackendUnavailableError, DriverError, InvalidOffsetError, LayerClosedError, from_os_error
from layerstore.owned import Owned, Single
from layerstore.url import StoreURL

if TYPE_CHECKING:
    from typing_extensions import Buffer

P = ParamSpec("P")
R = TypeVar("R")

CONTRACT_VERSION = "1.0"
"""The driver contract this layerstore speaks, ``major.minor``; a driver of another major is refused (clause C1)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can beyond the contract; each is tested (clauses C2 to C6)."""

    nested_keys: bool
    """A key may lie below another key: ``a`` and ``a/b`` at once."""

    shared: bool
    """Other processes that open the same URL see the same store."""

    durable: bool
    """What was flushed, put, moved or deleted stays so through a loss of power."""

    memory: int = 16 << 20
    """Bytes of memory that writing and reading an object takes at most, whatever its size; of a durable driver."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(nanoseconds: int) -> datetime:
    """Return a time since 1970 as ``Stat.modified`` has it; one before year 1 or after 9999 as the nearest of those."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return first if nanoseconds < 0 else last


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of an object without reading it (clauses S1 to S3)."""

    size: int
    """Bytes."""

    modified: datetime
    """When the bytes last changed; aware, in UTC."""

    version: str
    """Opaque; another one whenever the bytes have changed."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something that lies in the backend and is no object under a key (clause L6)."""

    name: str
    """Where it lies below the top of the store, as the backend spells it; what is no text is escaped.

    A directory has a slash at the end.
    """

    what: str
    """What it is, for people: ``a symlink``, ``a directory whose name is no key``."""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A key that a writer has taken and published nothing under: it is at work, or was killed (clause L6)."""

    name: str
    """The key; of a prefix below which there is nothing else, the prefix with a slash at the end."""

    modified: datetime
    """When it was taken; aware, in UTC."""


Scanned: TypeAlias = str | Foreign | Unpublished
"""What :meth:`Driver.scan` yields."""


def call_driver(scheme: str, key: str, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a driver's method so that whatever fails in storage is a driver error that names the driver (clause E1).

    Raises:
        UnwrittenError: the method, or one that it calls, is not written yet.
    """
    try:
        return method(*args, **kwargs)
    except DriverError as error:
        raise error.named(scheme)  # noqa: B904  (the same error again, its cause untouched)
    except OSError as error:
        raise from_os_error(error, key).named(scheme) from error
    except (NotImplementedError, TypeError) as error:
        _check_written(scheme, error)
        raise


def _check_written(scheme: str, error: Exception) -> None:
    from layerstore.unwritten import UnwrittenError, wanting  # late: it knows a driver by the classes below

    parts = [] if isinstance(error, UnwrittenError) else wanting(error)
    if parts:
        raise UnwrittenError(parts[0], scheme, str(error)) from error


def seek_target(offset: int, whence: int, position: int, size: int) -> int:
    """Return where a seek from a position in something of a size leads to, in bytes; a negative one leads nowhere.

    Raises:
        ValueError: ``whence`` is not one of ``os.SEEK_SET``, ``os.SEEK_CUR`` and ``os.SEEK_END``.
    """
    base = {os.SEEK_SET: 0, os.SEEK_CUR: position, os.SEEK_END: size}.get(whence)
    if base is None:
        raise ValueError(f"whence is 0, 1 or 2, not {whence!r}")
    return base + index(offset)


class _Handle(Owned):
    """What readers and writers have in common: a key, a position, and the driver's name for errors."""

    scheme = ""
    """The driver's URL scheme; set by the front."""

    def __init__(self, key: str, position: int, size: int) -> None:
        self.key = key
        self.size = size
        self._position = position

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r} {self.size} bytes>"

    def _check_usable(self, kind: str, *, closed: bool) -> None:
        if closed:
            raise LayerClosedError(f"{kind} of {self.key!r}")
        if not self._opened_here():
            raise LayerClosedError(f"{kind} of {self.key!r}, opened before a fork,")

    def _seek_to(self, offset: int, whence: int, size: int) -> int:
        target = seek_target(offset, whence, self._position, size)
        if target < 0:
            raise InvalidOffsetError(self.key, f"seek to {target}", self.scheme)
        self._position = target
        return self._position


class Reader(_Handle, io.RawIOBase):
    """One version of one object, as a readable and seekable binary file object (clauses R1 to R6).

    An author writes :meth:`read_at`, and :meth:`release` if something is to be given back, and has this constructor
    called when all that ``release`` needs is there. One thread at a time.
    """

    def __init__(self, key: str, size: int, version: str, offset: int = 0) -> None:
        """Open at ``offset`` (bytes, zero-based) an object of ``size`` bytes."""
        super().__init__(key, offset, size)
        self.version = version
        self._take_hold()

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` with the object's bytes from ``offset`` on, and return how many; the author's part.

        ``offset + len(buffer)`` is at most ``size`` and the buffer is not empty. Fewer bytes than asked for may be
        returned, never none. The buffer is the caller's: it is not kept.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Give back what the reader holds. Called once, and never raises; the author's part."""

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer``, and return how many bytes it took: fewer than its length only at the end of the object.

        Raises:
            BackendUnavailableError: the object turned out shorter than its size: no short read in silence.
        """
        self._check_open()
        with memoryview(buffer) as whole:
            if not whole.nbytes:
                return 0
            with whole.cast("B") as view:
                return self._fill(view[: max(0, self.size - self._position)])

    def _fill(self, view: memoryview) -> int:
        """Fill a view, however few bytes the author's part gives at a time: callers take a short read for the end."""
        done = 0
        while done < len(view):
            at = self._position + done
            count = call_driver(self.scheme, self.key, self.read_at, at, view[done:])
            if count <= 0:
                raise BackendUnavailableError(self.key, f"ends at byte {at} of {self.size}", self.scheme)
            done += count
        self._position += done
        return done

    def write(self, data: Buffer) -> int:
        """Refuse: a reader is read only.

        Raises:
            io.UnsupportedOperation: always, but LayerClosedError if the reader is closed.
        """
        del data
        self._check_open()
        raise io.UnsupportedOperation("a reader cannot be written")

    def readall(self) -> bytes:
        """Read from the position to the end."""
        self._check_open()
        return self.read(max(0, self.size - self._position))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset in bytes, beyond the end too; costs no read.

        Raises:
            InvalidOffsetError: the offset would be negative.
        """
        self._check_open()
        return self._seek_to(offset, whence, self.size)

    def tell(self) -> int:
        """Return the position in bytes."""
        self._check_open()
        return self._position

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def seekable(self) -> bool:
        """Say that this can be seeked."""
        return True

    def close(self) -> None:
        """Close; closing again does nothing."""
        if not self.closed:
            super().close()
            if self._opened_here():
                call_driver(self.scheme, self.key, self.release)

    def _check_open(self) -> None:
        self._check_usable("reader", closed=self.closed)


class Writer(_Handle, ABC):
    """A new or existing object, opened for writing at any offset, positioned at its end (clauses W1 to W9, F1 to F4).

    An author writes :meth:`write_at`, :meth:`publish` and :meth:`release`, and has this constructor called when all
    that ``release`` needs is there. One thread at a time. This is no ``io.IOBase`` on purpose: those close, and so
    would flush, when they are collected.
    """

    closed = False

    def __init__(self, key: str, size: int, version: str | None) -> None:
        """Open an object of ``size`` bytes at its ``version``, or a new one: no bytes, and no version."""
        super().__init__(key, size, size)
        self.version = version
        self._take_hold()

    @abstractmethod
    def write_at(self, offset: int, data: memoryview) -> None:
        """Accept all of ``data``, which is not empty, at ``offset``; the author's part.

        Between the old end and an offset beyond it, zeros appear. The buffer is the caller's: it is not kept. An error
        leaves the old size; every byte in the range is then the old or the new one. ``size`` is the one before this
        write; it grows when this returns.
        """

    @abstractmethod
    def publish(self) -> str:
        """Make everything accepted so far durable and visible, creating the object if new, and return its version.

        The author's part. ``size`` is that of everything accepted; ``version`` is set to what this returns.

        Raises:
            FencedError: another writer was opened since, or the object was put, moved or deleted; even if there is
                nothing to publish. What others see is unchanged.
        """

    @abstractmethod
    def release(self) -> None:
        """Give back what the writer holds and forget what was not published. Called once, and never raises.

        The author's part. It may be called by the interpreter's collector, in a thread that is in the middle of another
        method of the same driver: it waits for no lock that such a method holds (clause T1).
        """

    def write(self, data: Buffer) -> int:
        """Write all of ``data`` (C-contiguous) at the position, and return its length in bytes. It is not kept."""
        self._check_open()
        with memoryview(data) as whole:
            if not whole.nbytes:
                return 0
            with whole.cast("B") as view:
                call_driver(self.scheme, self.key, self.write_at, self._position, view)
                self._position += len(view)
                self.size = max(self.size, self._position)
                return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset in bytes, beyond the end too.

        Raises:
            InvalidOffsetError: the offset would be negative.
        """
        self._check_open()
        return self._seek_to(offset, whence, self.size)

    def tell(self) -> int:
        """Return the position in bytes."""
        self._check_open()
        return self._position

    def flush(self) -> None:
        """Make everything written durable and visible, and ``version`` that of the bytes now visible.

        Raises:
            FencedError: this writer was fenced; nothing was changed.
        """
        self._check_open()
        self.version = call_driver(self.scheme, self.key, self.publish)

    def close(self) -> None:
        """Flush and close; closing again does nothing. The writer is closed even if the flush fails."""
        if self.closed:
            return
        try:
            self.flush()
        finally:
            self.discard()

    def discard(self) -> None:
        """Close without a flush: nothing after the last flush appears."""
        if not self.closed:
            self.closed = True
            if self._opened_here():
                call_driver(self.scheme, self.key, self.release)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        self.discard()

    def _check_open(self) -> None:
        self._check_usable("writer", closed=self.closed)


class Driver(Single, ABC):
    """Write-seek-read primitives over keys in one backend (the seed's ``StorageDriver``).

    Threads may share a driver, not a handle (clause T1).
    """

    contract_version: ClassVar[str]
    """The contract the driver was written for, ``"1.0"``; spelled out by every driver, never inherited (clause C1)."""

    capabilities: Capabilities
    """What it can beyond the contract."""

    options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Names of the options that :meth:`open` takes, each with a sentence of help."""

    @classmethod
    @abstractmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (an option is text from a URL, or any object)
        """Open the backend a URL names. Creates nothing and may put off connecting until the first call.

        Raises:
            InvalidURLError: the URL does not name a backend of this kind, or an option's value is not in order.
        """

    @abstractmethod
    def open_reader(self, key: str, offset: int = 0) -> Reader:
        """Open an object for reading at ``offset``, at most its size (clauses R1 to R6).

        Raises:
            PathNotFoundError: nothing under the key.
            InvalidOffsetError: the offset is beyond the end.
        """

    @abstractmethod
    def open_writer(self, key: str) -> Writer:
        """Open a new or existing object for writing, and fence every earlier writer (clauses W1 to W9, F1 to F4)."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Store a small object whole: atomic, durable on return, fencing its writers (clauses P1 to P3)."""

    @abstractmethod
    def stat(self, key: str) -> Stat:
        """Tell size, time and version (clauses S1 to S3).

        Raises:
            PathNotFoundError: nothing under the key.
        """

    @abstractmethod
    def list(self, prefix: str) -> Iterator[str]:
        """Yield what lies directly below a prefix, ``""`` for the top, in lexicographic order (clauses L1 to L5).

        Whole keys, and for whatever lies deeper its prefix with a slash at the end.
        """

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Yield what :meth:`list` yields and, anywhere in between, what it passes over (clause L6).

        Whoever deletes asks this way, so as to delete nothing that something not understood may refer to. A driver
        overrides it if its backend can hold what the driver did not store, such as symlinks or names that are no keys,
        or if a killed writer leaves something that no listing shows.
        """
        yield from self.list(prefix)

    @abstractmethod
    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move an object over another or none, atomically, fencing the writers of both (clauses M1 to M6).

        Raises:
            PathNotFoundError: nothing under ``source``; the target is as it was.
            FencedError: ``source`` is not at ``version``; nothing has changed.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a key and all keys below ``key/``, fencing their writers; none is no error (clauses D1 to D4)."""

    def drop_cache(self, key: str) -> bool:
        """Have the operating system forget an object's bytes, and tell whether it did: for measuring a cold reading.

        Changes nothing that anybody sees. A driver that can, overrides this.
        """
        del key
        return False

    def close(self) -> None:
        """Give back connections; the driver is not used again. Closing again does nothing."""

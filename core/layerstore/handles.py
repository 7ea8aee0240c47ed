"""The handles that a driver returns: all of a reader and a writer that is the same for every driver.

An author writes the methods that a handle calls; each is called by :func:`call_driver`, which names errors.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from layerstore.errors import (
    BackendUnavailableError,
    DriverError,
    InvalidOffsetError,
    LayerClosedError,
    NoSpaceError,
    from_os_error,
)
from layerstore.threads.owned import Owned
from layerstore.unwritten import Authored, UnwrittenError, wanting

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

LARGEST: Final = (1 << 63) - 1
"""Bytes of the largest object: the system's offsets have 63 bits."""

P = ParamSpec("P")
R = TypeVar("R")


def call_driver(scheme: str, key: str, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a driver's method, and raise every failure of storage as a driver error that names the driver (clause E1).

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
    parts = [] if isinstance(error, UnwrittenError) else wanting(error)
    if parts:
        raise UnwrittenError(parts[0], scheme, str(error)) from error


def seek_target(offset: int, whence: int, position: int, size: int) -> int:
    """Return the position after a seek, in bytes; the caller refuses a negative one.

    Raises:
        ValueError: ``whence`` is not one of ``os.SEEK_SET``, ``os.SEEK_CUR`` and ``os.SEEK_END``.
    """
    base = {os.SEEK_SET: 0, os.SEEK_CUR: position, os.SEEK_END: size}.get(whence)
    if base is None:
        raise ValueError(f"whence is 0, 1 or 2, not {whence!r}")
    return base + index(offset)


class _Handle(Owned, Authored):
    """The common part of readers and writers: a key, a position, and the driver's name for errors."""

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

    An author writes :meth:`read_at`, and :meth:`release` if there is something to give back. A subclass calls this
    constructor once everything that ``release`` needs is set. One thread at a time may use a reader.
    """

    def __init__(self, key: str, size: int, version: str, offset: int = 0) -> None:
        """Open at ``offset`` (bytes, zero-based) an object of ``size`` bytes."""
        super().__init__(key, offset, size)
        self.version = version
        self._take_hold()

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` with the object's bytes from ``offset`` on, and return how many; the author writes this.

        ``offset + len(buffer)`` is at most ``size``, and the buffer is not empty. The method may fill fewer bytes than
        asked for, but at least one. It must not keep the buffer.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Give back what the reader holds; the author writes this. It is called once, and must not raise."""

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer``, and return how many bytes were read: fewer than its length only at the end of the object.

        Raises:
            BackendUnavailableError: the object ended before its size, or its version can no longer be read.
        """
        self._check_open()
        with memoryview(buffer) as whole:
            if not whole.nbytes:
                return 0
            with whole.cast("B") as view:
                return self._fill(view[: max(0, self.size - self._position)])

    def _fill(self, view: memoryview) -> int:
        """Call ``read_at`` until the view is full: callers take a short read for the end of the object."""
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
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
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

    An author writes :meth:`write_at`, :meth:`publish` and :meth:`release`. A subclass calls this constructor once
    everything that ``release`` needs is set. One thread at a time may use a writer. A writer is deliberately no
    ``io.IOBase``: those are closed, and so would flush, when they are collected.
    """

    closed = False

    def __init__(self, key: str, size: int, version: str | None) -> None:
        """Open an object of ``size`` bytes at its ``version``; a new one has no bytes, and the version None."""
        super().__init__(key, size, size)
        self.version = version
        self._take_hold()

    @abstractmethod
    def write_at(self, offset: int, data: memoryview) -> None:
        """Accept all of ``data``, which is not empty, at ``offset``; the author writes this.

        If the offset is beyond the old end, the gap must read as zeros. The method must not keep the buffer. After an
        error the size must be the old one, and every byte in the range must be the old or the new one. ``size`` is the
        size before this write; it grows when this returns.
        """

    @abstractmethod
    def publish(self) -> str:
        """Make everything accepted so far durable and visible, and return its version. A new object is created.

        The author writes this. ``size`` counts everything accepted; ``version`` is set to the returned one.

        Raises:
            FencedError: another writer was opened since, or the object was put, moved or deleted; even if there is
                nothing to publish. Other handles see no change.
        """

    @abstractmethod
    def release(self) -> None:
        """Give back what the writer holds, and forget what was not published; the author writes this.

        It is called once, and must not raise. The interpreter's collector may call it, in a thread that is in the
        middle of another method of the same driver: it must not wait for a lock that such a method holds (clause T1).
        """

    def write(self, data: Buffer) -> int:
        """Write all of ``data`` (C-contiguous) at the position, and return its length. ``data`` is not kept.

        Raises:
            NoSpaceError: the object would have more than :data:`LARGEST` bytes. No driver is asked.
        """
        self._check_open()
        with memoryview(data) as whole:
            if not whole.nbytes:
                return 0
            if self._position + whole.nbytes > LARGEST:
                raise NoSpaceError(self.key, f"an object has at most {LARGEST} bytes", self.scheme)
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
        """Make everything written durable and visible, and set ``version`` to that of the bytes now visible.

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
        """Close without a flush: what was written since the last flush never appears."""
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

"""The part of a driver that its author writes: seven methods over keys, and the handles that two of them return.

The contract is docs/contract.md; clause numbers (K1, W3, ...) refer to it. :mod:`layerstore.handles`, where Reader and
Writer are, and :mod:`layerstore.checked` do everything that is the same for all drivers, such as checking arguments and
naming errors: a driver's methods are called only with valid arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

from layerstore.handles import Reader, Writer
from layerstore.threads.owned import Single
from layerstore.unwritten import Authored
from layerstore.url import StoreURL

__all__ = [
    "CONTRACT_VERSION",
    "Capabilities",
    "Driver",
    "DropsCache",
    "Foreign",
    "Reader",
    "Scanned",
    "Settles",
    "SignsURLs",
    "Stat",
    "Unpublished",
    "Writer",
    "moment",
]

CONTRACT_VERSION = "1.0"
"""The driver contract that layerstore speaks, ``major.minor``. A driver for another major version is refused (C1)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do beyond the contract; the suite tests each (clauses C2 to C6)."""

    nested_keys: bool
    """A key may lie below another key: ``a`` and ``a/b`` at once."""

    shared: bool
    """Other processes that open the same URL see the same store."""

    durable: bool
    """A flush, put, move or delete that returned survives a loss of power."""

    memory: int = 16 << 20
    """If ``durable``: the most bytes of memory that writing and reading an object of any size takes (C6)."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(nanoseconds: int) -> datetime:
    """Return a time since 1970 in the form of ``Stat.modified``; a time out of its range becomes the nearest in it."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return first if nanoseconds < 0 else last


@dataclass(frozen=True, slots=True)
class Stat:
    """Properties of an object, known without reading it (clauses S1 to S3)."""

    size: int
    """Bytes."""

    modified: datetime
    """When the bytes last changed; aware, in UTC."""

    version: str
    """Opaque text; it changes whenever the bytes change (S2)."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something in the backend that is no object under a key (clause L6)."""

    name: str
    """Its path below the top of the store, as the backend spells it, with a slash at the end of a directory.

    Bytes that are no text are escaped.
    """

    what: str
    """A description for people: ``a symlink``, ``a directory whose name is no key``."""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A key that a writer has taken and not published yet: the writer is at work, or was killed (clause L6)."""

    name: str
    """The key, or a prefix below which there is nothing else, with a slash at the end."""

    modified: datetime
    """When it was taken; aware, in UTC."""


Scanned: TypeAlias = str | Foreign | Unpublished
"""The items that :meth:`Driver.scan` yields; a ``str`` is a key or a prefix, as from :meth:`Driver.list`."""


class Driver(Authored, Single, ABC):
    """Objects under keys in one backend: write, seek, read, list, move, delete.

    Threads may share a driver, but not a handle (clause T1).
    """

    contract_version: ClassVar[str]
    """The contract that the driver is written for, ``"1.0"``. Every driver must set it itself (clause C1)."""

    capabilities: Capabilities
    """What the driver can do beyond the contract."""

    options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The names of the options that :meth:`open` takes, each with a sentence of help."""

    @classmethod
    @abstractmethod
    def open(cls, url: StoreURL, **options: Any) -> Self:  # noqa: ANN401  (an option is text from a URL, or any object)
        """Open the backend that a URL names. This must create nothing, and may connect later, at the first call.

        Raises:
            InvalidURLError: the URL does not name a backend of this kind, or the value of an option is not valid.
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
        """Store a small object whole, atomically and durably, and fence its writers (clauses P1 to P3)."""

    @abstractmethod
    def stat(self, key: str) -> Stat:
        """Return size, time and version (clauses S1 to S3).

        Raises:
            PathNotFoundError: nothing under the key.
        """

    @abstractmethod
    def list(self, prefix: str) -> Iterator[str]:
        """Yield what lies directly below a prefix, ``""`` for the top, in lexicographic order (clauses L1 to L5).

        These are whole keys. Where keys lie deeper, it yields their prefix, with a slash at the end.
        """

    def scan(self, prefix: str) -> Iterator[Scanned]:
        """Yield what :meth:`list` yields and, anywhere in between, what a listing leaves out (clause L6).

        The tools that delete use this, so that they delete nothing to which a foreign thing may refer. A driver must
        override it if its backend can hold what the driver did not store, such as symlinks or names that are no keys,
        or if a killed writer leaves something that no listing shows.
        """
        yield from self.list(prefix)

    @abstractmethod
    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Move an object, replacing the target if there is one, and fence the writers of both (clauses M1 to M6).

        Raises:
            PathNotFoundError: nothing is under ``source``; the target is unchanged.
            FencedError: ``source`` is not at ``version``; nothing has changed.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a key and all keys below ``key/``, and fence their writers (clauses D1 to D5).

        Deleting what is not there does nothing.
        """

    def close(self) -> None:
        """Give back connections. The driver must not be used afterwards; closing it again does nothing."""


@runtime_checkable
class DropsCache(Protocol):
    """An optional part of a driver, for measurements only: no promise of layerstore depends on it."""

    def drop_cache(self, key: str) -> bool:
        """Drop an object's bytes from the operating system's cache, and return whether that was done.

        It changes nothing that a caller can see.
        """


@runtime_checkable
class Settles(Protocol):
    """An optional part of a driver: it makes durable what it shows, and opens no writer for that.

    A driver has it if an object to which a writer was opened looks otherwise to other programs.
    """

    def settle(self, key: str) -> bool:
        """Make durable what is published under a key, whoever published it; return whether anything is."""


@runtime_checkable
class SignsURLs(Protocol):
    """An optional part of a driver: it lets somebody without its credential read an object for a while.

    A registry leads its clients there. No promise of layerstore depends on it.
    """

    def redirect_url(self, key: str, lasts: timedelta) -> str | None:
        """Return a URL by which anybody can read an object until ``lasts`` is over; None if this store cannot sign.

        It is a secret for as long: it goes to whoever may read the object, and into no log.

        Raises:
            PathNotFoundError: nothing under the key.
        """

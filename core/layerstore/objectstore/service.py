"""The calls of an object store that an author writes, and a description of what the service can do.

A *name* is the whole name of a stored object: the prefix of the store's URL, and a key or a private name behind it.
Each call makes one request, or a few where it says so. An ETag is compared, never understood: it may be the MD5 of the
bytes, and then says nothing about who stored them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

ABSENT: Final = ""
"""In place of an ETag: there must be no object under the name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service can do."""

    least_part: int = 5 << 20
    """Bytes of a part of :meth:`Service.compose`, at least, but for the last part."""

    most_parts: int = 10_000
    """Parts of one object."""

    most_copied: int = 5 << 30
    """Bytes of one part that the service copies from another object."""

    name_bytes: int = 1024
    """Bytes of a name."""

    page: int = 1000
    """Names in one answer to a listing, and in one :meth:`Service.delete_many`."""


class Stream(Protocol):
    """The bytes of an object, as they arrive."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, at least one; none at the end.

        Raises:
            BackendUnavailableError: the connection broke.
        """

    def close(self) -> None:
        """Give the connection back. It must not raise."""


@dataclass(frozen=True, slots=True)
class Got:
    """An answer to :meth:`Service.get`."""

    etag: str
    size: int
    """Bytes of the whole object."""
    modified: datetime
    """Aware, in UTC."""
    metadata: Mapping[str, str]
    """The names in lower case."""
    stream: Stream
    """The bytes of the range."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing."""

    name: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing."""

    objects: Sequence[Listed]
    prefixes: Sequence[str] = ()
    """Whole, with a slash at the end: what lies deeper, if the listing was asked not to go there."""
    after: str = ""
    """What the next call is asked to go on after; empty at the end."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a stored object from ``start`` up to ``stop``."""

    name: str
    start: int
    stop: int
    etag: str | None = None
    """The object must have this ETag, if one is given."""
    whole: bool = False
    """These are all its bytes."""


class Service(Protocol):
    """The calls. Threads share a service. A forked child uses it too: it must not use its parent's connections.

    Every failure is raised as a :class:`~layerstore.errors.DriverError` with the name: no object as
    ``PathNotFoundError``, an object that is not as the condition says as ``FencedError``, a missing bucket and an
    unreachable or busy service as ``BackendUnavailableError``, a refusal as ``AccessDeniedError``. A service that asks
    to try again is asked again before that, and so is one whose answer was lost, even if the request had a condition.
    """

    limits: Limits

    def get(self, name: str, start: int, stop: int, etag: str | None = None) -> Got:
        """Begin to read from ``start`` up to ``stop``, or up to the end of the object if that comes first.

        With an ETag, the object must have it. If nothing is at ``start``, the stream has no bytes, and there is no
        error; of an object of no bytes this is asked often.
        """

    def put(self, name: str, data: bytes, metadata: Mapping[str, str], etag: str | None = None) -> str:
        """Store an object whole, and return its ETag.

        With None the object replaces any other. With :data:`ABSENT` it must be the first under its name. With an ETag
        it must replace the object that has it: an object that is gone is another one, so a ``FencedError``. The service
        must compare and store in one step.
        """

    def delete(self, name: str, etag: str | None = None) -> None:
        """Delete an object; it may be missing. With an ETag: if it has that, compared and deleted in one step.

        Raises:
            FencedError: it has another ETag. A service may raise this also if the object is missing.
        """

    def delete_many(self, names: Sequence[str]) -> None:
        """Delete at most a page of objects. Any of them may be missing."""

    def list(self, prefix: str, after: str, most: int, *, deep: bool) -> Page:
        """Return at most so many names that begin with ``prefix``, in any order, from where a page said to go on.

        Unless ``deep``, names with a slash behind the prefix are not listed: :attr:`Page.prefixes` has them up to that
        slash.
        """

    def compose(self, name: str, parts: Sequence[Part], metadata: Mapping[str, str]) -> None:
        """Store an object made of parts of others, in place of any other; the bytes do not leave the service.

        There is at least one part, and every part but the last has at least ``least_part`` bytes. Nobody sees the
        object before it is complete. A single part that is whole should be copied in one request.

        Raises:
            PathNotFoundError: an object is missing.
            FencedError: an object does not have the ETag that its part says.
        """

    def close(self) -> None:
        """Give back idle connections. A call after that makes new ones."""

"""A response's body while it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Self

from layerstore_drivers.azure.found import Found

_METADATA = "x-ms-meta-"


class Stream:
    """The bytes of a ranged GET, as they come; and what the response tells of the blob."""

    def __init__(self, response: Any, chunks: Iterator[bytes]) -> None:  # noqa: ANN401  (the SDK's, of any transport)
        """Take over a response whose headers have come."""
        self._response = response
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.found = _found(response.headers)
        self.start = _start(response.headers)
        """The offset of the first byte of the body."""

    @classmethod
    def of(cls, response: Any, chunks: Any, _headers: object) -> Self:  # noqa: ANN401  (as the SDK calls its ``cls``)
        """Make one of what the SDK has."""
        return cls(response.http_response, chunks)

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer with what comes next, up to the end of a chunk; 0 at the end of the body.

        Raises:
            AzureError: the connection broke.
        """
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)

    def close(self) -> None:
        """Give the connection up, unless the whole body was read: then it went back by itself.

        Takes no lock of the connection pool, for it may be called in a collection, in a thread that holds it.
        """
        self._rest = memoryview(b"")
        inner = getattr(self._response, "internal_response", self._response)
        with suppress(Exception):  # whatever a transport makes of closing what may be broken
            getattr(inner, "raw", inner).close()


def _start(headers: Mapping[str, str]) -> int:
    """Read where a body begins; one that is no range of the blob is all of it."""
    told = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(told[1]) if told else 0


def _found(headers: Mapping[str, str]) -> Found:
    """Read the blob's properties where a GET tells them."""
    size = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "0")
    notes = {name[len(_METADATA) :]: value for name, value in headers.items() if name.lower().startswith(_METADATA)}
    modified = parsedate_to_datetime(headers["Last-Modified"]).astimezone(UTC)
    return Found.read(headers["ETag"], int(size), modified, notes, headers.get("x-ms-copy-status", ""))

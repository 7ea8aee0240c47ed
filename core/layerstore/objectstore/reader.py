"""Reading: long streamed requests, resumed where they break (clauses R1 to R5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from layerstore.driver import Reader
from layerstore.errors import BackendUnavailableError, FencedError, InvalidOffsetError, PathNotFoundError
from layerstore.objectstore.head import FIRST_LINE
from layerstore.objectstore.store import BREAKS

if TYPE_CHECKING:
    from layerstore.objectstore.head import Found
    from layerstore.objectstore.service import Part, Stream
    from layerstore.objectstore.store import Store

BEGIN = 256 << 10
"""Bytes of the first request, and of the first one after a seek. Each one that continues it is longer."""

GROWTH = 16
LONGEST = 256 << 20
"""Bytes of the longest request."""


class ObjectReader(Reader):
    """Reads one version, or raises an error once it is gone."""

    def __init__(self, store: Store, key: str, state: Found, parts: Iterable[Part], offset: int) -> None:
        """Read the parts one after the other; ``state.begin`` has the first bytes of a plain object."""
        super().__init__(key, state.size or 0, state.version, offset)
        self._store = store
        self._begin = b"" if state.head else state.begin
        self._parts = list(parts)
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + part.stop - part.start)
        self._number = 0
        self._stream: Stream | None = None
        self._at = self._stop = len(self._begin)
        self._length = BEGIN

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read from the request that is under way, or begin one."""
        if part := self._begin[offset : offset + len(buffer)]:
            buffer[: len(part)] = part
            return len(part)
        for _ in range(BREAKS + 1):
            data = self._read(offset, len(buffer))
            if data:
                self._at += len(data)
                buffer[: len(data)] = data
                return len(data)
            self._close()
        raise BackendUnavailableError(self.key, f"the connection breaks again and again, at {offset} of {self.size}")

    def release(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_stream"):
            self._close()

    def _read(self, offset: int, wanted: int) -> bytes:
        """Return some bytes; none if the connection breaks."""
        if self._stream is None or self._at != offset or self._at >= self._stop:
            self._request(offset, wanted)
        stream = self._stream
        try:
            return stream.read(min(wanted, self._stop - offset)) if stream else b""
        except BackendUnavailableError:
            return b""

    def _request(self, offset: int, wanted: int) -> None:
        goes_on = self._at == offset
        self._length = min(self._length * GROWTH, LONGEST) if goes_on else BEGIN
        self._close()
        while not self._starts[self._number] <= offset < self._starts[self._number + 1]:
            self._number = (self._number + 1) % len(self._parts)
        part, start = self._parts[self._number], self._starts[self._number]
        self._at, self._stop = offset, min(self._starts[self._number + 1], offset + max(self._length, wanted))
        arguments = (part.name, part.start + offset - start, part.start + self._stop - start, part.etag)
        try:
            self._stream = self._store.call(self.key, self._store.service.get, *arguments).stream
        except (FencedError, PathNotFoundError):
            raise BackendUnavailableError(self.key, "the object was changed since it was opened") from None

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def open_reader(store: Store, key: str, offset: int) -> ObjectReader:
    """Open an object; from its start, with the first bytes in the same request.

    Raises:
        PathNotFoundError: nothing is published under the key.
        InvalidOffsetError: the offset is beyond the end.
    """
    state = store.look_whole(key, BEGIN if offset == 0 else FIRST_LINE)
    if state is None or state.size is None:
        raise PathNotFoundError(key)
    if offset > state.size:
        raise InvalidOffsetError(key, f"offset {offset} of {state.size} bytes")
    return ObjectReader(store, key, state, store.parts_of(key, state), offset)

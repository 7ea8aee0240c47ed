"""Reading: long streamed GETs, each on condition of the ETag, resumed where they break (clauses R1 to R5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.driver import Reader
from layerstore.errors import BackendUnavailableError, FencedError, InvalidOffsetError, PathNotFoundError
from layerstore_drivers.azure.errors import translated

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.found import Stream

BEGIN = 256 << 10
"""Bytes of the first GET, and of the first one after a seek. Each GET that continues it is longer."""

GROWTH = 16
LONGEST = 256 << 20
"""Bytes of the longest GET."""

BREAKS = 5
"""How often in a row a connection may break without having brought a byte."""


class Source:
    """The bytes of a blob at one version, in order from anywhere."""

    def __init__(self, blobs: Blobs, key: str, etag: str, size: int, version: str | None = None) -> None:
        """Read from the blob with this ETag, or, given a version, with any that it has at this version."""
        self._blobs = blobs
        self._key = key
        self._etag = etag
        self._size = size
        self._version = version
        self._stream: Stream | None = None
        self._at = self._stop = 0
        self._length = BEGIN

    def adopt(self, stream: Stream, start: int, stop: int) -> None:
        """Go on with a GET that has begun."""
        self._stream, self._at, self._stop = stream, start, stop

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read at least a byte.

        Raises:
            FencedError, PathNotFoundError: the blob was changed, or is gone.
            BackendUnavailableError: the connection breaks again and again.
        """
        for _ in range(BREAKS + 1):
            stream = self._ready(offset, len(buffer))
            count = 0
            with suppress(BackendUnavailableError), translated(self._key):
                count = stream.read_into(buffer)
            if count:
                self._at += count
                return count
            self.close()
        raise BackendUnavailableError(self._key, f"the connection breaks again and again, at {offset} of {self._size}")

    def close(self) -> None:
        """Give the connection back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _ready(self, offset: int, wanted: int) -> Stream:
        """Return a GET whose next byte is the one at ``offset``."""
        if self._stream is not None and self._at == offset and self._at < self._stop:
            return self._stream
        return self._begin(offset, wanted)

    def _begin(self, offset: int, wanted: int) -> Stream:
        goes_on = self._stream is not None and self._at == offset
        self._length = min(self._length * GROWTH, LONGEST) if goes_on else BEGIN
        self.close()
        stop = min(self._size, offset + max(self._length, wanted))
        try:
            stream = self._blobs.read(self._key, offset, stop, self._etag)
        except FencedError:
            now = self._blobs.look(self._key) if self._version is not None else None
            if now is None or now.version != self._version or now.size != self._size:
                raise
            self._etag = now.etag  # a writer was opened meanwhile, and has published nothing
            stream = self._blobs.read(self._key, offset, stop, self._etag)
        self.adopt(stream, offset, stop)
        return stream


class AzureReader(Reader):
    """Reads one version, or raises an error once it is gone."""

    def __init__(self, source: Source, key: str, size: int, version: str, offset: int) -> None:
        """Read from a source."""
        super().__init__(key, size, version, offset)
        self._source = source

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Read from the GET that is under way, or begin one."""
        try:
            return self._source.read_at(offset, buffer)
        except (FencedError, PathNotFoundError):
            raise BackendUnavailableError(self.key, "the object was changed since it was opened") from None

    def release(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_source"):
            self._source.close()


def open_reader(blobs: Blobs, key: str, offset: int) -> AzureReader:
    """Open an object; from its start, with the first bytes in the same request.

    Azurite is asked for the properties first: without an ETag in the request, its answer may hold bytes from before a
    change and properties from after it.

    Raises:
        PathNotFoundError: nothing is published under the key.
        InvalidOffsetError: the offset is beyond the end.
    """
    stream = _begin(blobs, key) if offset == 0 and not blobs.emulated else None
    found = stream.found if stream and not stream.found.notes_version else blobs.look(key)
    if stream and (found is None or found.size is None or found.etag != stream.found.etag):
        stream.close()
        stream = None
    if found is None or found.size is None:
        raise PathNotFoundError(key)
    if offset > found.size:
        raise InvalidOffsetError(key, f"offset {offset} of {found.size} bytes")
    source = Source(blobs, key, found.etag, found.size, found.version)
    if stream:
        source.adopt(stream, 0, min(BEGIN, found.size))
    return AzureReader(source, key, found.size, found.version, offset)


def _begin(blobs: Blobs, key: str) -> Stream | None:
    with suppress(InvalidOffsetError):  # an empty blob has no first byte
        return blobs.read(key, 0, BEGIN)
    return None


def read_range(blobs: Blobs, key: str, start: int, stop: int, etag: str) -> bytes:
    """Read a range of the blob with this ETag whole.

    Raises:
        FencedError, PathNotFoundError: there is none.
    """
    data = bytearray(stop - start)
    source = Source(blobs, key, etag, stop)
    try:
        with memoryview(data) as view:
            done = 0
            while done < len(data):
                done += source.read_at(start + done, view[done:])
    finally:
        source.close()
    return bytes(data)

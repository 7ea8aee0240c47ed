"""Bodies as gunicorn has them: what comes next, and what it holds when a read fails.

gunicorn copies each byte of a body four times on its way through two buffers. One whose length is known is taken from
the connection here, behind what came with the head.

gunicorn returns as many bytes as it was asked for, or raises. Then the bytes that have arrived, and that TCP has
acknowledged to the client, are in its buffers. With them kept, a client that resumes need not send them again.
"""

from __future__ import annotations

from typing import Protocol

from gunicorn.http.body import Body, ChunkedReader, LengthReader


class Reads(Protocol):
    """A body, as WSGI has it."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes; fewer at the end alone."""


def received(stream: Reads, size: int) -> bytes:
    """Return the next ``size`` bytes of a body; fewer where it ends, whether it should or not."""
    if not isinstance(stream, Body) or not isinstance(stream.reader, LengthReader) or stream.buf.tell():
        return stream.read(size)
    reader, parts = stream.reader, list[bytes]()
    left = size = min(size, reader.length)
    source = reader.unreader
    try:
        while left:
            data = source.take_buffered() or source.chunk(left)
            if not data:
                break
            parts.append(data[:left])
            source.unread(data[left:])  # of the next request
            left -= len(parts[-1])
    except BaseException:
        source.unread(b"".join(parts))
        stream.failed = True
        raise
    reader.length -= size - left
    return parts[0] if len(parts) == 1 else b"".join(parts)


def remains(stream: object) -> bytes:
    """Return what was received of a body and not given out, in order; of one that is not gunicorn's, nothing."""
    if not isinstance(stream, Body):
        return b""
    held = stream.buf.getvalue()
    if isinstance(stream.reader, ChunkedReader):
        held += stream.reader.buf.getvalue()
    elif isinstance(stream.reader, LengthReader):
        held += stream.reader.unreader.take_buffered()[: stream.reader.length]
    return bytes(held)

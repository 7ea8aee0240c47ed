"""What gunicorn has received of a body, and not given out, when a read of it fails.

gunicorn returns as many bytes as it was asked for, or raises. Then the bytes that have arrived, and that TCP has
acknowledged to the client, are in its buffers. With them kept, a client that resumes need not send them again.
"""

from __future__ import annotations

from gunicorn.http.body import Body, ChunkedReader, LengthReader


def remains(stream: object) -> bytes:
    """Return that, in order; of a stream that is not gunicorn's, nothing."""
    if not isinstance(stream, Body):
        return b""
    held = stream.buf.getvalue()
    if isinstance(stream.reader, ChunkedReader):
        held += stream.reader.buf.getvalue()
    elif isinstance(stream.reader, LengthReader):
        held += stream.reader.unreader.take_buffered()[: stream.reader.length]
    return bytes(held)

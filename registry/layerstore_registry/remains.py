"""What gunicorn has received of a body, and not given out, when a read of it fails.

It reads as much as it is asked for, or raises; what came before that, and was acknowledged to the client's side of the
connection, is in its buffers. A client that resumes is spared to send it again.
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

"""Whole lives of an upload, step by step, with a record of what the store has promised at every moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from layerstore_conformance.payloads import Payload, digest

if TYPE_CHECKING:
    from layerstore import Layer, LayerService, LayerUpload

CHUNK = 3000
"""Bytes; no multiple of a payload's block."""


class Life:
    """One upload from beginning to end, and what may be found in the store if it is cut off now."""

    def __init__(self, service: LayerService, name: str, *, seed: int = 0, chunk: int = CHUNK) -> None:
        """Be ready to begin."""
        self.service = service
        self.name = name
        self.chunk = chunk
        self.payload = Payload("life", seed)
        self.uuid: str | None = None
        self.content = bytearray()
        """What was written and accepted."""
        self.promised: bytes = b""
        """What the last flush or close has promised to keep."""
        self.possible: set[bytes] = {b""}
        """What may be stored: what was promised, and while a flush is under way also what it is about to promise."""
        self.finishing = False
        """A finish that ought to succeed has begun: the upload may be gone, and then the layer is there."""
        self.finished = False
        self.cancelling = False
        """A cancel has begun: the upload may be gone."""
        self.cancelled = False
        self._upload: LayerUpload | None = None

    @property
    def upload(self) -> LayerUpload:
        """The handle."""
        assert self._upload is not None, "begin or resume first"
        return self._upload

    @property
    def wanted(self) -> str:
        """The digest of what was written."""
        return digest(bytes(self.content))

    def abandon(self) -> None:
        """Drop the handle, as a dying process does."""
        self._upload = None

    def begin(self) -> None:
        """Begin the upload."""
        self._upload = self.service.upload(self.name)
        self.uuid = self._upload.uuid

    def write(self, size: int | None = None, payload: Payload | None = None) -> None:
        """Write at the position what the payload has there."""
        offset = self.upload.tell()
        data = (payload or self.payload).read(size or self.chunk, offset)
        self.upload.write(data)
        self.content.extend(bytes(max(0, offset - len(self.content))))
        self.content[offset : offset + len(data)] = data

    def seek(self, offset: int) -> None:
        """Go to an offset."""
        self.upload.seek(offset)

    def flush(self) -> None:
        """Flush."""
        self._promise(self.upload.flush)

    def close(self) -> None:
        """Close."""
        self._promise(self.upload.close)

    def resume(self) -> None:
        """Open the upload again."""
        assert self.uuid is not None, "begin first"
        self._upload = self.service.resume(self.name, self.uuid)

    def finish(self, wanted: str | None = None) -> Layer:
        """Finish with the digest of what was written, or with another one."""
        self.finishing = wanted is None
        self.possible.add(bytes(self.content))
        layer = self.upload.finish(wanted or self.wanted)
        self.finished = True
        return layer

    def cancel(self) -> None:
        """Cancel."""
        self.cancelling = True
        self.upload.cancel()
        self.cancelled = True

    def _promise(self, action: Callable[[], None]) -> None:
        promise = bytes(self.content)
        self.possible.add(promise)
        action()
        self.promised = promise
        self.possible = {promise}


def straight(life: Life) -> None:
    """Write three chunks, the first flushed, and finish."""
    life.begin()
    life.write()
    life.flush()
    life.write()
    life.write()
    life.finish()


def resumed(life: Life) -> None:
    """Write five chunks, closing and resuming between them, and finish."""
    life.begin()
    for index in range(5):
        if index:
            life.close()
            life.resume()
        life.write()
    life.finish()


def last_rewritten(life: Life) -> None:
    """Write three chunks, go back, write the last one again with other bytes, and finish."""
    life.begin()
    for _ in range(3):
        life.write()
        life.flush()
    life.seek(2 * life.chunk)
    life.write(payload=Payload("again", life.payload.seed))
    life.finish()


def middle_rewritten(life: Life) -> None:
    """Write three chunks, close, resume, write other bytes across the first border, and finish."""
    life.begin()
    for _ in range(3):
        life.write()
    life.close()
    life.resume()
    life.seek(life.chunk // 2)
    life.write(payload=Payload("again", life.payload.seed))
    life.flush()
    life.finish()


def sparse(life: Life) -> None:
    """Write a chunk, then one beyond the end, and finish."""
    life.begin()
    life.write()
    life.flush()
    life.seek(3 * life.chunk)
    life.write()
    life.finish()


def wrong_then_right(life: Life) -> None:
    """Write two chunks, finish with a wrong digest, then with the right one."""
    from layerstore import LayerInvalidDigestError

    life.begin()
    life.write()
    life.write()
    try:
        life.finish(digest(b"something else"))
    except LayerInvalidDigestError:
        life.finish()
    else:
        raise AssertionError("a wrong digest was accepted")


def cancelled(life: Life) -> None:
    """Write two chunks, close, resume, write another, and cancel."""
    life.begin()
    life.write()
    life.write()
    life.close()
    life.resume()
    life.write()
    life.cancel()


LIFECYCLES: tuple[Callable[[Life], None], ...] = (
    straight,
    resumed,
    last_rewritten,
    middle_rewritten,
    sparse,
    wrong_then_right,
    cancelled,
)
"""Every one of them."""

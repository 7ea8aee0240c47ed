"""Whole lives of an upload, step by step, with a record of what the store has promised at every moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore import LayerInvalidDigestError
from layerstore.front import FRONT
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.lives.promise import Promise

if TYPE_CHECKING:
    from layerstore import Layer, LayerService, LayerUpload

CHUNK = 3000
"""Bytes; no multiple of a payload's block."""

Tell = Callable[..., object]
"""Is told a step and its details: :meth:`Promise.take` says which there are."""


class Life(Promise):
    """One upload from beginning to end, or several after each other, and what may be found if it is cut off now."""

    def __init__(
        self, service: LayerService, name: str, *, seed: int = 0, chunk: int = CHUNK, tell: Tell = lambda *_: None
    ) -> None:
        """Be ready to begin, and tell every step, before it is taken and after, also to ``tell``."""
        super().__init__(name)
        self.service = service
        self.chunk = chunk
        self.payload = Payload("life", seed)
        self._also_tell = tell
        self._upload: LayerUpload | None = None

    @property
    def upload(self) -> LayerUpload:
        """The handle."""
        assert self._upload is not None, "begin or resume first"
        return self._upload

    def abandon(self) -> None:
        """Drop the handle, as a dying process does."""
        self._upload = None

    def begin(self) -> None:
        """Begin the upload; after one that is finished, another."""
        self._tell("beginning")
        self._upload = self.service.upload(self.name)
        self._tell("begun", self._upload.uuid)

    def write(self, size: int | None = None, payload: Payload | None = None) -> None:
        """Write at the position what the payload has there."""
        offset = self.upload.tell()
        data = (payload or self.payload).read(size or self.chunk, offset)
        self._tell("writing", offset, len(data))
        self.upload.write(data)
        self._tell("accepted", offset, data)

    def seek(self, offset: int) -> None:
        """Go to an offset."""
        self.upload.seek(offset)

    def flush(self) -> None:
        """Flush."""
        self._tell("flushing")
        self.upload.flush()
        self._tell("flushed")

    def close(self) -> None:
        """Close."""
        self._tell("flushing")
        self.upload.close()
        self._tell("flushed")

    def resume(self) -> None:
        """Open the upload again."""
        assert self.uuid is not None, "begin first"
        self._tell("resuming")
        self._upload = self.service.resume(self.name, self.uuid)
        self._tell("resumed")

    def finish(self, wanted: str | None = None) -> Layer:
        """Finish with the digest of what was written, or with another one.

        Raises:
            LayerInvalidDigestError: with another one.
        """
        self._tell("finishing", wanted or self.wanted)
        try:
            layer = self.upload.finish(wanted or self.wanted)
        except LayerInvalidDigestError:
            self._tell("refused")
            raise
        self._tell("finished")
        return layer

    def cancel(self) -> None:
        """Cancel."""
        self._tell("cancelling")
        self.upload.cancel()
        self._tell("cancelled")

    def purge(self) -> None:
        """Have it purged, as who runs the store does on a later day."""
        self._tell("purging")
        report = self.service.purge(timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
        assert [entry.uuid for entry in report.removed] == [self.uuid], f"it was not purged: {report}"
        self._tell("purged")

    def _tell(self, step: str, *details: object) -> None:
        self.take(step, *details)
        self._also_tell(step, *details)


def straight(life: Life) -> None:
    """Write three chunks, the first flushed, and finish."""
    life.begin()
    life.write()
    life.flush()
    life.write()
    life.write()
    life.finish()


def unflushed(life: Life) -> None:
    """Write two chunks, and finish what is smaller than what is gathered in front of the backend."""
    life.begin()
    life.write()
    life.write()
    life.finish()


def unflushed_large(life: Life) -> None:
    """Write more than is gathered, and finish what nobody else knows of."""
    life.begin()
    life.write(FRONT - life.chunk)
    for _ in range(3):
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
    """Write two chunks, the first flushed, finish with a wrong digest, then with the right one."""
    life.begin()
    life.write()
    life.flush()
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


def twice(life: Life) -> None:
    """Upload a layer of two chunks, and the same layer once more, flushed in between: it replaces the first."""
    life.begin()
    life.write()
    life.write()
    life.finish()
    life.begin()
    life.write()
    life.flush()
    life.write()
    life.finish()


def purged(life: Life) -> None:
    """Write two chunks, close, resume, write another, and have it purged while it is open."""
    life.begin()
    life.write()
    life.write()
    life.close()
    life.resume()
    life.write()
    life.purge()


LIFECYCLES: tuple[Callable[[Life], None], ...] = (
    straight,
    unflushed,
    unflushed_large,
    resumed,
    last_rewritten,
    middle_rewritten,
    sparse,
    wrong_then_right,
    cancelled,
    twice,
    purged,
)
"""Every one of them."""

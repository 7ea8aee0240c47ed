"""Lifecycles of an upload, step by step, with a record of what the store has promised at every moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from layerstore import LayerInvalidDigestError
from layerstore.uploads.front import FRONT
from layerstore_conformance.kit.payloads import Payload, digest
from layerstore_conformance.promises.promise import Promise

if TYPE_CHECKING:
    from layerstore import Layer, LayerService, LayerUpload

CHUNK = 3000
"""Bytes; no multiple of a payload's block."""

Tell = Callable[..., object]
"""Takes a step and its details: :meth:`Promise.take` has them all."""


class TrackedUpload(Promise):
    """An upload, or several after each other, with a record of what may be found if its process dies now."""

    def __init__(
        self, service: LayerService, name: str, *, seed: int = 0, chunk: int = CHUNK, tell: Tell = lambda *_: None
    ) -> None:
        """Be ready to begin; ``tell`` is called with every step, before it is taken and after."""
        super().__init__(name)
        self.service = service
        self.chunk = chunk
        self.payload = Payload("upload", seed)
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
        """Write at the position the bytes that the payload has there."""
        offset = self.upload.tell()
        data = (payload or self.payload).read(size or self.chunk, offset)
        self._tell("writing", offset, len(data))
        self.upload.write(data)
        self._tell("accepted", offset, data)

    def seek(self, offset: int) -> None:
        """Move to an offset."""
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
        """Purge it, as the store's operator does on a later day."""
        self._tell("purging")
        report = self.service.purge(timedelta(0), now=datetime.now(UTC) + timedelta(days=1))
        assert [entry.uuid for entry in report.removed] == [self.uuid], f"it was not purged: {report}"
        self._tell("purged")

    def _tell(self, step: str, *details: object) -> None:
        self.take(step, *details)
        self._also_tell(step, *details)


def straight(tracked: TrackedUpload) -> None:
    """Write three chunks, the first flushed, and finish."""
    tracked.begin()
    tracked.write()
    tracked.flush()
    tracked.write()
    tracked.write()
    tracked.finish()


def unflushed(tracked: TrackedUpload) -> None:
    """Write two chunks, which are still gathered in front of the backend, and finish."""
    tracked.begin()
    tracked.write()
    tracked.write()
    tracked.finish()


def unflushed_large(tracked: TrackedUpload) -> None:
    """Write more than is gathered, without a flush, and finish."""
    tracked.begin()
    tracked.write(FRONT - tracked.chunk)
    for _ in range(3):
        tracked.write()
    tracked.finish()


def resumed(tracked: TrackedUpload) -> None:
    """Write five chunks, closing and resuming between them, and finish."""
    tracked.begin()
    for index in range(5):
        if index:
            tracked.close()
            tracked.resume()
        tracked.write()
    tracked.finish()


def last_rewritten(tracked: TrackedUpload) -> None:
    """Write three chunks, go back, write the last one again with other bytes, and finish."""
    tracked.begin()
    for _ in range(3):
        tracked.write()
        tracked.flush()
    tracked.seek(2 * tracked.chunk)
    tracked.write(payload=Payload("again", tracked.payload.seed))
    tracked.finish()


def middle_rewritten(tracked: TrackedUpload) -> None:
    """Write three chunks, close, resume, write other bytes across the first border, and finish."""
    tracked.begin()
    for _ in range(3):
        tracked.write()
    tracked.close()
    tracked.resume()
    tracked.seek(tracked.chunk // 2)
    tracked.write(payload=Payload("again", tracked.payload.seed))
    tracked.flush()
    tracked.finish()


def sparse(tracked: TrackedUpload) -> None:
    """Write a chunk, then one beyond the end, and finish."""
    tracked.begin()
    tracked.write()
    tracked.flush()
    tracked.seek(3 * tracked.chunk)
    tracked.write()
    tracked.finish()


def wrong_then_right(tracked: TrackedUpload) -> None:
    """Write two chunks, the first flushed, finish with a wrong digest, then with the right one."""
    tracked.begin()
    tracked.write()
    tracked.flush()
    tracked.write()
    try:
        tracked.finish(digest(b"something else"))
    except LayerInvalidDigestError:
        tracked.finish()
    else:
        raise AssertionError("a wrong digest was accepted")


def cancelled(tracked: TrackedUpload) -> None:
    """Write two chunks, close, resume, write another, and cancel."""
    tracked.begin()
    tracked.write()
    tracked.write()
    tracked.close()
    tracked.resume()
    tracked.write()
    tracked.cancel()


def twice(tracked: TrackedUpload) -> None:
    """Upload a layer of two chunks, and the same layer once more, flushed in between: it replaces the first."""
    tracked.begin()
    tracked.write()
    tracked.write()
    tracked.finish()
    tracked.begin()
    tracked.write()
    tracked.flush()
    tracked.write()
    tracked.finish()


def purged(tracked: TrackedUpload) -> None:
    """Write two chunks, close, resume, write another, and have it purged while it is open."""
    tracked.begin()
    tracked.write()
    tracked.write()
    tracked.close()
    tracked.resume()
    tracked.write()
    tracked.purge()


LIFECYCLES: tuple[Callable[[TrackedUpload], None], ...] = (
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
"""Every lifecycle: a module-level function that takes a :class:`TrackedUpload`."""

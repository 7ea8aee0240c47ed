"""Uploads: layers on their way in."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from layerstore.digest import Digest
from layerstore.errors import (
    FencedError,
    InvalidOffsetError,
    LayerClosedError,
    PathNotFoundError,
    UnknownUploadError,
)
from layerstore.handles import seek_target
from layerstore.hashing.cursor import BLOCK, buffers
from layerstore.layer import Layer, open_layer
from layerstore.threads.owned import Owned
from layerstore.threads.turns import Turns, in_turn
from layerstore.uploads import finish
from layerstore.uploads.front import Front
from layerstore.uploads.intake import blocks, filler
from layerstore.uploads.spool import naming

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from layerstore.checked import CheckedDriver
    from layerstore.layout import UploadKeys
    from layerstore.uploads.finish import Moved
    from layerstore.uploads.intake import Reads, ReadsInto
    from layerstore.uploads.spool import Spool, Verify


class LayerUpload(Owned, io.RawIOBase):
    """An upload in progress: a writable, seekable binary file object.

    :meth:`LayerService.upload` and :meth:`LayerService.resume` return one, positioned at the end of the stored bytes.
    When ``flush`` or ``close`` has returned, all that was written is stored, and survives a crash. Leaving a ``with``
    block without ``finish`` closes the upload and keeps it resumable. Threads that share a handle take turns, and share
    its one position. A signal handler that calls the handle in the middle of a call gets ``RuntimeError``.

    Others know of a new upload from its first ``flush`` or ``close`` on, or from the moment at which its bytes have to
    be read back. Until then it cannot be resumed, is not listed, and ends with its process. Up to 1 MiB is gathered in
    memory: an upload that is finished while it is smaller is stored as a layer at once, and never as an upload.

    Resuming an upload, in any process, fences the handles opened before: their next ``flush``, ``close`` or ``finish``
    raises ``FencedError`` and changes nothing. If the upload is gone, they raise ``UnknownUploadError``. In a
    forked child every call raises ``LayerClosedError`` and changes nothing: the handle belongs to the parent.
    """

    def __init__(
        self,
        driver: CheckedDriver,
        keys: UploadKeys,
        *,
        started_at: datetime,
        verify: Verify,
        content: Front | Moved,
        known: bool,
    ) -> None:
        """Go on with data, or with a finish that was cut off; ``known``: others know of the upload."""
        super().__init__()
        self.name = keys.name
        """The repository."""
        self.uuid = keys.uuid
        self.started_at = started_at
        """When the upload was begun; aware, in UTC."""
        self._driver = driver
        self._keys = keys
        self._verify: Verify = verify
        self._content = content
        self._known = known
        self._begun = known  # others may know of it: that was attempted at least
        self._becoming: Digest | None = None  # the blob that data nobody else knows of is, or was, about to become
        self._position = content.size
        self._turns = Turns()
        self._closed = False
        self._gone = False
        self._fenced = False
        self._finished: set[Digest] = set()
        self._take_hold()

    @property
    def size(self) -> int:
        """Bytes so far, including those that are not flushed yet."""
        return self._content.size

    @property
    def known(self) -> bool:
        """Whether others know of the upload: from its first flush or close on. Only then can it be resumed."""
        return self._known

    @property
    def moved(self) -> bool:
        """Whether a finish that was cut off has made the data a blob. The upload can then be finished, not written."""
        return not isinstance(self._content, Front)

    @in_turn
    def write(self, data: Buffer) -> int:
        """Write all of ``data`` (C-contiguous) at the position, and return its length in bytes. ``data`` is not kept.

        After a seek beyond the end, the gap reads as zeros. If another thread changes ``data`` meanwhile, each byte is
        stored and hashed as either the old or the new one. An error of the backend may be about bytes of an
        earlier write, which were gathered until now. They stay gathered, and the write may be repeated.

        Raises:
            LayerClosedError: the upload is closed, or its data has already become a blob.
        """
        front = self._front()
        if type(data) is bytes and 0 < len(data) < BLOCK:
            self._store(front, data)
            return len(data)
        start = self._position
        try:
            for block in blocks(data):
                self._store(front, block)
        except BaseException:
            self._position = start  # so that writing it once more repeats nothing
            raise
        return self._position - start

    def read_from(self, stream: ReadsInto | Reads) -> int:
        """Write the rest of a binary stream, and return the number of bytes. Reading, hashing and writing overlap.

        Raises:
            BlockingIOError: the stream is non-blocking and has nothing now; the bytes read before are written.
        """
        self._front()
        fill, total = filler(stream), 0
        for buffer in buffers():  # pragma: no branch  (they never end)
            count = fill(buffer)
            if count is None:
                raise BlockingIOError(f"{stream!r} has nothing now")
            if count == 0:
                break
            self._store_next(buffer[:count])
            total += count
        return total

    @in_turn
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset in bytes, beyond the end too.

        Raises:
            InvalidOffsetError: the offset would be negative.
        """
        self._check_open()
        target = seek_target(offset, whence, self._position, self.size)
        if target < 0:
            with naming(self._keys):
                raise InvalidOffsetError(self._keys.data, f"seek to {target}", self._driver.scheme)
        self._position = target
        return self._position

    def tell(self) -> int:
        """Return the position in bytes."""
        self._check_open()
        return self._position

    def readinto(self, buffer: Buffer) -> int:
        """Refuse to be read. After the upload is finished, its layer can be read.

        Raises:
            io.UnsupportedOperation: always, but LayerClosedError if the upload is closed.
        """
        del buffer
        self._check_open()
        raise io.UnsupportedOperation("an upload cannot be read; finish it, and read the layer")

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    @in_turn
    def flush(self) -> None:
        """Make everything written so far durable, and save the hash state that describes it.

        Raises:
            FencedError: another handle has resumed the upload; nothing was changed.
            UnknownUploadError: the upload is gone: finished, cancelled or purged.
        """
        self._flush()

    @in_turn
    def digest(self) -> Digest:
        """Return the sha256 of everything written so far. Bytes not hashed on the way in are flushed and read back.

        Raises:
            FencedError, UnknownUploadError: as :meth:`flush`, if bytes are read back.
            LayerClosedError: as :meth:`write`.
        """
        front = self._front()
        if front.spool is None:
            return Digest.of(front.gathered)
        with self._owning():
            spool = front.spill()
            if not spool.covered:
                self._publish(spool)
            return spool.canonical("resume")

    @in_turn
    def finish(self, digest: Digest | str, size: int | None = None) -> Layer:
        """Verify the bytes, make them a layer of the repository, and return it. Called again, return it again.

        ``digest`` is a sha256, sha384, sha512 or ``tarsum.v1+sha256``; ``size``, in bytes, is compared if given. After
        an error the upload is as before: this handle can write to it and, if it was flushed, it can be resumed. If a
        finish was cut off half way, call ``finish`` again to complete it. The layer is opened when it is first read;
        its ``created_at`` is by this machine's clock.

        Raises:
            InvalidDigestError: ``digest`` is no digest, or none that can be verified.
            LayerInvalidDigestError: the bytes have another digest, which the error has.
            LayerInvalidSizeError: the number of bytes is not ``size``.
            LayerExistsError: ``digest`` is a tarsum under which this repository has other bytes.
            InvalidArchiveError: ``digest`` is a tarsum, and the bytes are no tar archive.
            FencedError: another handle has resumed the upload.
            UnknownUploadError: the upload is gone.
            LayerClosedError: this handle is closed.
        """
        wanted = Digest.parse(digest)
        self._check_opened_here()
        with naming(self._keys):
            if wanted in self._finished:
                self._remove()
                return open_layer(self._driver, self.name, wanted)
            canonical = self._link(wanted, size)
            self._remove()
            content = self._content
            stored = content.size if isinstance(content, Front) else content.size_of(canonical)
            return Layer(self._driver, self.name, wanted, canonical, datetime.now(UTC), stored)

    def _link(self, wanted: Digest, size: int | None) -> Digest:
        self._check_open()
        with self._owning():
            canonical, data = self._become_blob(wanted, size)
            finish.link(self._driver, self.name, wanted, canonical)
            if not self._begun:
                finish.look(self._driver, canonical, data)
        self._finished = {canonical, wanted}
        return canonical

    @in_turn
    def cancel(self) -> None:
        """Remove the upload and all it has stored. Called again, or after ``finish``, it does nothing.

        A handle that has got ``FencedError`` is only closed: the upload belongs to another handle.

        Raises:
            LayerClosedError: this is a forked child, and the upload belongs to its parent.
        """
        self._check_opened_here()
        if self._fenced:
            self._release()
        else:
            with naming(self._keys):
                self._remove()

    @in_turn
    def close(self) -> None:
        """Flush and close; the upload stays, to be resumed. Closing again, or after ``finish``, does nothing.

        If ``close`` is interrupted, by Ctrl-C for example, the upload is not closed, and closing again flushes.

        Raises:
            FencedError, UnknownUploadError: as :meth:`flush`; the handle is closed all the same.
        """
        if self._closed:
            return
        try:
            self._flush()
        except Exception:
            self._release()
            raise
        self._release()

    @property
    def closed(self) -> bool:
        """Whether this handle is closed."""
        return self._closed

    def __del__(self) -> None:
        """Give back what the handle holds, without a flush: dropping an upload does not close it."""
        self._release()

    def __repr__(self) -> str:
        return f"<LayerUpload {self.name} {self.uuid} {self.size} bytes>"

    @in_turn
    def _store_next(self, data: memoryview) -> None:
        self._store(self._front(), data)

    def _store(self, front: Front, data: bytes | memoryview) -> None:
        if not front.gather(self._position, data):
            with self._owning():
                front.write(self._position, data)
        self._position += len(data)

    def _flush(self) -> None:
        self._check_open()
        if isinstance(self._content, Front):
            with self._owning():
                spool = self._content.spill()
                self._publish(spool)
                spool.save()

    def _publish(self, spool: Spool) -> None:
        """Publish, and let others know of the upload."""
        if self._known:
            spool.publish()
            return
        if self._becoming is None:  # else it may have been moved: then it is begun as what it was moved to
            spool.publish()
        self._begun = True
        try:
            finish.begin(self._driver, self._keys, self.started_at, spool, self._becoming)
        except FencedError:
            self._known = self._becoming is not None  # then it is resumed as what it was moved to
            raise
        self._known = True

    def _become_blob(self, wanted: Digest, size: int | None) -> tuple[Digest, bytes | None]:
        """Return the canonical digest, and the bytes if they are in memory."""
        content = self._content
        if isinstance(content, Front):
            if not self._begun:
                finish.check_size(size, content.size)
            if content.spool is None and self._verify == "resume":
                data = bytes(content.gathered)
                return finish.verify_and_put(self._driver, self.name, data, wanted), data
            try:
                return self._verify_and_move(content.spill(), wanted, size), None
            except (FencedError, PathNotFoundError):
                moved = finish.find_moved(self._driver, self._keys, None if self._begun else self._becoming)
                if moved is None:
                    self._leave_to_others(content)
                    raise
                content.release()
                self._content = content = moved
        return content.verify(wanted, size), None

    def _leave_to_others(self, content: Front) -> None:
        """Let others know of an upload if its own move was cut off after fencing this handle, and did nothing else.

        Raises:
            FencedError: they know of it.
        """
        cut_off = self._becoming is not None and not self._begun and content.spool is not None
        if cut_off and self._driver.find(self._keys.data) is not None:
            self._publish(content.spill())

    def _verify_and_move(self, spool: Spool, wanted: Digest, size: int | None) -> Digest:
        hashed = spool.covered and self._verify == "resume" and wanted.algorithm == "sha256"
        if hashed and not self._begun:
            return self._move_straight(spool, wanted)
        self._publish(spool)  # else a purge may take the data for a leftover while it is read back, for hours
        finish.check_size(size, spool.size)
        canonical = finish.verify(self._driver, self._keys, spool, wanted, self._verify)
        finish.intend(self._driver, self._keys, wanted, canonical)
        finish.move(self._driver, self._keys, canonical, spool.version)
        return canonical

    def _move_straight(self, spool: Spool, wanted: Digest) -> Digest:
        """Move data that nobody else knows of, and that was hashed on its way in."""
        finish.check_digest(wanted, spool.canonical("resume"))
        spool.publish()
        self._becoming = wanted
        finish.move(self._driver, self._keys, wanted, spool.version)
        return wanted

    @contextmanager
    def _owning(self) -> Iterator[None]:
        """Distinguish an upload that was taken over from one that is gone, and remove the remains of the latter."""
        with naming(self._keys):
            try:
                yield
            except (FencedError, PathNotFoundError) as error:
                if self._driver.find(self._keys.started_at) is None:
                    self._remove()
                    raise UnknownUploadError(self.name, self.uuid) from error
                self._fenced = isinstance(error, FencedError) or self._is_taken()
                if self._fenced and isinstance(error, PathNotFoundError):  # a purge has taken the data, and is at it
                    raise FencedError(self._keys.data, "the data is gone", self._driver.scheme) from error
                raise

    def _is_taken(self) -> bool:
        """Return whether the data is gone, though no finish has made it a blob."""
        return isinstance(self._content, Front) and self._driver.find(self._keys.data) is None

    def _remove(self) -> None:
        self._release()
        if not self._gone:
            if self._begun or (self._is_stored() and not self._finished):
                finish.remove(self._driver, self._keys)
            self._gone = True

    def _is_stored(self) -> bool:
        """Return whether anything of the upload may be in the backend."""
        return not isinstance(self._content, Front) or self._content.spool is not None

    def _release(self) -> None:
        self._closed = True
        if self._opened_here() and isinstance(self._content, Front):
            self._content.release()

    def _front(self) -> Front:
        self._check_open()
        if isinstance(self._content, Front):
            return self._content
        raise LayerClosedError(f"the data of upload {self.uuid} has become a blob and")

    def _check_open(self) -> None:
        if self._closed:
            raise LayerClosedError(f"upload {self.uuid}")
        self._check_opened_here()

    def _check_opened_here(self) -> None:
        """Refuse a forked child: the upload belongs to its parent."""
        if not self._opened_here():
            raise LayerClosedError(f"upload {self.uuid}, opened before a fork,")

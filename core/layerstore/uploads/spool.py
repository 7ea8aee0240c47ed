"""The spool: an upload's bytes are written to the backend as they come, hashed on the way, and read back if needed."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from layerstore.digest import Digest
from layerstore.errors import BackendUnavailableError, DriverError, FencedError
from layerstore.hashing import uploadstate
from layerstore.hashing.cursor import OVERLAP, HashCursor, buffers
from layerstore.tarsum import tarsums

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.driver import Reader
    from layerstore.hashing.sha256 import Hasher
    from layerstore.layout import UploadKeys

Verify = Literal["resume", "reread"]
"""``resume``: read back only bytes that were not hashed on their way in. ``reread``: read back all bytes, and so also
find out if the backend lost or changed some."""

log = logging.getLogger("layerstore")


class Spool:
    """An upload's data object, open for writing, and the hash cursor over its prefix that was hashed on its way in."""

    def __init__(self, driver: CheckedDriver, keys: UploadKeys) -> None:
        """Open the data, fencing every earlier writer, and go on from the saved state if it describes this version."""
        self._driver = driver
        self._keys = keys
        self._writer = driver.open_writer(keys.data)
        self._saved: tuple[str | None, int] = (None, 0)
        self._certain = True  # until a write ends in an error, or is interrupted: then less is known of the size
        self._in_doubt = False  # while the cursor is worked with
        try:
            self._cursor = HashCursor(self._load())
        except BaseException:
            self._writer.discard()
            raise

    @property
    def size(self) -> int:
        """Bytes, including those that are not flushed yet."""
        return self._writer.size

    @property
    def version(self) -> str | None:
        """The version of the data as last flushed; None if it never was."""
        return self._writer.version

    @property
    def covered(self) -> bool:
        """Whether everything written was hashed on its way in."""
        return self._certain and not self._in_doubt and self._cursor.offset == self.size

    def store(self, offset: int, data: bytes | memoryview) -> None:
        """Write at an offset. ``data`` must not change while it is hashed: ``bytes`` do not, nor do ``buffers()``."""
        with self._doubting():
            self._writer.seek(offset)  # refuses a forked child before that waits for a thread only its parent has
            if offset < self._cursor.offset:
                self._cursor.cut(offset)
            try:
                self._write(offset, data)
            except DriverError:
                self._cursor.cut(offset)
                raise

    def _write(self, offset: int, data: bytes | memoryview) -> None:
        covered = offset == self._cursor.offset
        if covered and len(data) >= OVERLAP:
            self._cursor.start(data)
        self._writer.write(data)
        if covered and len(data) < OVERLAP:
            self._cursor.feed(data)

    def publish(self) -> None:
        """Make everything written durable and visible.

        Raises:
            FencedError: another writer has taken over, or the data is gone.
        """
        self._writer.flush()

    def save(self) -> None:
        """Save the hash state of the published bytes, unless it is saved already.

        If it cannot be saved, that is logged and raises nothing: the bytes are then read back once.

        Raises:
            FencedError: the upload was removed meanwhile.
        """
        version = self._writer.version
        with self._doubting():
            states = self._cursor.marks()
        if version is None or not states or self._saved == (version, states[-1][0]):
            return
        try:
            self._driver.put(self._keys.state, uploadstate.dump(version, states))
        except DriverError as error:
            # As text: a kept log record would keep the error, its traceback and, in its frames, the writer.
            log.warning("the hash state of upload %s was not saved: %s", self._keys.uuid, str(error))
        else:
            self._saved = (version, states[-1][0])
        if self._driver.find(self._keys.started_at) is None:  # then the state must be removed again
            raise FencedError(self._keys.data, "the upload is gone", self._driver.scheme)

    def canonical(self, verify: Verify) -> Digest:
        """Return the sha256 of the published bytes; bytes that the cursor does not cover are read back.

        Raises:
            FencedError: the data is no longer at the version that this spool has published.
        """
        with self._doubting():
            if verify == "reread":
                self._cursor.cut(0)
            if self._cursor.offset < self.size or not self._certain:
                self._catch_up()
            return self._cursor.digest()

    def measure(self, wanted: Digest) -> Digest:
        """Read back all published bytes, and return their digest by the algorithm of ``wanted``.

        Raises:
            FencedError: the data is no longer at the version that this spool has published.
            InvalidArchiveError: as :func:`measure`.
        """
        with self._reading(0) as reader:
            return measure(reader, wanted)

    def release(self) -> None:
        """Close without a flush. Called again, it does nothing."""
        self._writer.discard()

    @contextmanager
    def _reading(self, offset: int) -> Iterator[Reader]:
        """Read back. If another writer has published since, a driver may no longer have these bytes (clause R4)."""
        with self._open_reader(offset) as reader:
            try:
                yield reader
            except BackendUnavailableError as error:
                stat = self._driver.find(self._keys.data)
                if stat is not None and stat.version == self._writer.version:
                    raise
                raise FencedError(self._keys.data, "the data is at another version", self._driver.scheme) from error

    def _open_reader(self, offset: int) -> Reader:
        reader = self._driver.open_reader(self._keys.data, offset)
        if (reader.version, reader.size) == (self._writer.version, self.size):
            return reader
        reader.close()
        if reader.version != self._writer.version:
            raise FencedError(self._keys.data, "the data is at another version", self._driver.scheme)
        detail = f"{reader.size} bytes are stored, {self.size} were written"
        raise BackendUnavailableError(self._keys.data, detail, self._driver.scheme)

    def _catch_up(self) -> None:
        with self._reading(self._cursor.offset) as reader:
            for buffer in buffers():  # pragma: no branch  (they never end)
                count = reader.readinto(buffer)
                if count == 0:
                    return
                cover = self._cursor.start if count >= OVERLAP else self._cursor.feed
                cover(buffer[:count])

    def _load(self) -> list[tuple[int, Hasher]]:
        version = self._writer.version
        if version is None:
            return []
        try:
            document = self._driver.get(self._keys.state, uploadstate.MAX_DOCUMENT)
        except DriverError:
            return []
        marks = uploadstate.load(document, version, self._writer.size)
        if marks:
            self._saved = (version, marks[-1][0])
        return marks

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """Work with the cursor, and discard its hash state if an interruption left it at an unknown position.

        The next piece of work discards it, since a second interruption might cut off a clean-up here.
        """
        if self._in_doubt:
            self._certain = False
            self._cursor = HashCursor()
        self._in_doubt = True
        try:
            yield
        except DriverError:  # after which the cursor was cut back already
            self._certain = False
            self._in_doubt = False
            raise
        self._in_doubt = False


@contextmanager
def naming(keys: UploadKeys) -> Iterator[None]:
    """Let errors of the storage name the upload instead of the driver's key."""
    try:
        yield
    except DriverError as error:
        raise error.about(f"upload {keys.uuid} of repository {keys.name}")  # noqa: B904  (the same error again)


def measure(reader: io.RawIOBase | io.BufferedIOBase, wanted: Digest) -> Digest:
    """Read to the end, and return the digest of the bytes by the algorithm of ``wanted``.

    A tarsum is computed by both formulas of its label; if neither gives ``wanted``, the later one is returned.

    Raises:
        InvalidArchiveError: ``wanted`` is a tarsum, and the bytes are no tar archive.
    """
    if not wanted.is_tarsum:
        return Digest(wanted.algorithm, hashlib.file_digest(reader, wanted.algorithm).hexdigest())
    sums = tarsums(reader)
    return wanted if wanted.hex in sums else Digest(wanted.algorithm, sums.current)

"""Finishing an upload: a sequence that can be cut off anywhere and repeated.

For an upload that others know of, since it was flushed once:

    verify          check that the stored bytes hash to the digest
    intent          put a note under the upload: which blob the data is about to become
    move            make the data the blob, if it is still at the version that was verified
    link            point the repository to the blob
    remove          remove the upload: first ``startedat``, by which it exists, then everything

If it is cut off before the move, the upload is as it was. After the move the data is gone, and the intent says which
blob it has become. A repeated finish then reads that blob back, since others may have written it meanwhile, and goes on
with the link.

For an upload that nobody else knows of, and whose bytes were all hashed on their way in:

    verify          check that the bytes in memory, or those given to the spool, hash to the digest
    put or move     make the bytes the blob
    link            point the repository to the blob
    look            check that the blob is there; if it is not, put the bytes in memory once more

If it is cut off before the move, it leaves data that a purge removes; before the link, a blob that a collection
removes. There is no intent, so a collection may remove the blob before it is linked, if its grace is shorter than these
steps take. A collection that moves the blob after the link was put sees the link in its third mark, and puts the blob
back. So if the last step finds the blob, the blob stays. If it does not, bytes in memory are put once more; every later
mark sees the link. Bytes that were moved are no longer in memory: then the finish fails, and the upload is gone.

If bytes have to be read back, others come to know of the upload first.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from layerstore import layout
from layerstore.contents import links
from layerstore.digest import Digest
from layerstore.errors import (
    FencedError,
    InvalidArchiveError,
    InvalidDigestError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    PathNotFoundError,
)
from layerstore.uploads.spool import Spool, measure

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.layout import UploadKeys
    from layerstore.uploads.spool import Verify


def begin(driver: CheckedDriver, keys: UploadKeys, started_at: datetime, spool: Spool, becoming: Digest | None) -> None:
    """Let others know of an upload whose data is published, or may have become a blob already.

    After ``startedat`` was put, the data is published once more: before that a purge may have taken it over.

    Raises:
        FencedError: another writer has taken the data over, or it is gone.
    """
    if becoming is not None:
        intend(driver, keys, becoming, becoming)
    put_start(driver, keys, started_at)
    try:
        spool.publish()
    except FencedError:
        if becoming is None and driver.find(keys.data) is None:
            remove(driver, keys)
        raise


def started_at(driver: CheckedDriver, keys: UploadKeys) -> datetime | None:
    """Return when an upload was begun, aware, in UTC; None if what is stored is no time.

    Raises:
        PathNotFoundError: no start is stored.
    """
    text = driver.get(keys.started_at, 64).decode("ascii", "replace")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def put_start(driver: CheckedDriver, keys: UploadKeys, started_at: datetime) -> None:
    """Put the object by which an upload exists."""
    driver.put(keys.started_at, f"{started_at:%Y-%m-%dT%H:%M:%SZ}".encode("ascii"))


def check_size(size: int | None, actual: int) -> None:
    """Compare a size, if one is given.

    Raises:
        LayerInvalidSizeError: it is another size.
    """
    if size is not None and size != actual:
        raise LayerInvalidSizeError(size, actual)


def verify_and_put(driver: CheckedDriver, name: str, data: bytes, wanted: Digest) -> Digest:
    """Verify bytes in memory, put them under their sha256, and return that.

    Raises:
        LayerInvalidDigestError: they have another digest; nothing was put.
        LayerExistsError: ``wanted`` is a tarsum under which this repository has other bytes.
        InvalidArchiveError: ``wanted`` is a tarsum, and the bytes are no tar archive.
    """
    canonical = Digest.of(data)
    check_digest(wanted, canonical if wanted.algorithm == "sha256" else measure(io.BytesIO(data), wanted))
    links.check_free(driver, name, wanted, canonical)
    driver.put(layout.blob(canonical), data)
    return canonical


def verify(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, policy: Verify) -> Digest:
    """Verify what a spool has published, and return its content address.

    Raises:
        LayerInvalidDigestError: the bytes are others; the upload stays as it was.
        LayerExistsError: a tarsum that other bytes have in this repository.
        FencedError, PathNotFoundError: the data is no longer what the spool has published.
    """
    canonical = spool.canonical(policy)
    check_digest(wanted, canonical if wanted.algorithm == canonical.algorithm else spool.measure(wanted))
    links.check_free(driver, keys.name, wanted, canonical)
    return canonical


def check_digest(wanted: Digest, actual: Digest) -> None:
    """Compare a digest.

    Raises:
        LayerInvalidDigestError: it is another digest.
    """
    if actual != wanted:
        raise LayerInvalidDigestError(str(wanted), str(actual))


def intend(driver: CheckedDriver, keys: UploadKeys, wanted: Digest, canonical: Digest) -> None:
    """Record which blob the data is about to become."""
    driver.put(keys.intent(canonical), str(wanted).encode("ascii"))


def move(driver: CheckedDriver, keys: UploadKeys, canonical: Digest, version: str | None) -> None:
    """Make the data, at the version that was verified, the blob.

    Raises:
        FencedError, PathNotFoundError: the data is no longer at that version.
    """
    driver.move(keys.data, layout.blob(canonical), version=version)


def link(driver: CheckedDriver, name: str, wanted: Digest, canonical: Digest) -> None:
    """Link a blob by the digest that was asked for, and by its sha256."""
    for digest in {wanted: None, canonical: None}:
        links.write(driver, name, digest, canonical)


def look(driver: CheckedDriver, canonical: Digest, data: bytes | None) -> None:
    """Look whether a blob that was linked without an intent is there, and put it once more if it is not.

    Raises:
        PathNotFoundError: the blob is not there, and its bytes are not in memory.
    """
    blob = layout.blob(canonical)
    if data is None:
        driver.stat(blob)
    elif driver.find(blob) is None:
        driver.put(blob, data)


class Moved:
    """An upload whose data has become a blob already: a finish was cut off, or is under way elsewhere."""

    def __init__(
        self, driver: CheckedDriver, keys: UploadKeys, blobs: dict[Digest, int], *, known: bool = True
    ) -> None:
        """Hold the blobs that it may have become, by canonical digest, with their sizes in bytes.

        ``known``: others know of the upload, and may have cancelled or finished it.
        """
        self._driver = driver
        self._keys = keys
        self._blobs = blobs
        self._known = known

    @property
    def size(self) -> int:
        """Bytes of the blob. If an earlier finish has left its intent too, the larger counts: uploads never shrink."""
        return max(self._blobs.values())

    def size_of(self, canonical: Digest) -> int:
        """Return the bytes of one of the blobs, as last read."""
        return self._blobs[canonical]

    def verify(self, wanted: Digest, size: int | None) -> Digest:
        """Read the blobs back, and return the canonical digest of the one that has the digest ``wanted``.

        Raises:
            LayerInvalidDigestError: none of them has.
            LayerInvalidSizeError: it has another size.
            LayerExistsError: ``wanted`` is a tarsum under which this repository has other bytes.
            InvalidArchiveError: ``wanted`` is a tarsum, and the bytes are no tar archive.
            PathNotFoundError: the upload is gone.
        """
        failures: list[LayerInvalidDigestError | InvalidArchiveError] = []
        for canonical in self._blobs:
            try:
                self._read_back(canonical, canonical)
                self._read_back(canonical, wanted)
            except (LayerInvalidDigestError, InvalidArchiveError) as error:
                failures.append(error)
                continue
            check_size(size, self._blobs[canonical])
            links.check_free(self._driver, self._keys.name, wanted, canonical)
            if not self._driver.settle(layout.blob(canonical)):  # who put it there may have died before it was durable
                raise PathNotFoundError(layout.blob(canonical))
            if self._known:  # cancelled, or finished elsewhere, it is not linked once more
                self._driver.stat(self._keys.started_at)
            return canonical
        raise failures[-1]

    def _read_back(self, canonical: Digest, wanted: Digest) -> None:
        blob = layout.blob(canonical)
        actual, size = self._driver.read_version(blob, lambda reader: (measure(reader, wanted), reader.size))
        check_digest(wanted, actual)
        self._blobs[canonical] = size  # another one than when the upload was resumed, if the blob was healed since


def find_moved(driver: CheckedDriver, keys: UploadKeys, becoming: Digest | None = None) -> Moved | None:
    """Return the blobs that an upload's data may have been moved to; None if it was not moved.

    ``becoming`` is the only one possible for an upload without an intent, of which nobody else knows.
    """
    if becoming is not None:
        blob = driver.find(layout.blob(becoming)) if driver.find(keys.data) is None else None
        return Moved(driver, keys, {becoming: blob.size}, known=False) if blob else None
    if driver.find(keys.started_at) is None or driver.find(keys.data) is not None:
        return None
    blobs: dict[Digest, int] = {}
    for key in driver.list(keys.intents):
        if key == keys.purged:
            return None  # the data went there: an intent beside it is of a finish that was refused
        try:
            canonical = Digest("sha256", key.rpartition("/")[2])
        except InvalidDigestError:
            continue  # not ours
        stat = driver.find(layout.blob(canonical))
        if stat is not None:
            blobs[canonical] = stat.size
    return Moved(driver, keys, blobs) if blobs else None


def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
    """Remove an upload. After the first step it does not exist, even if the rest is cut off."""
    driver.delete(keys.started_at)
    driver.delete(keys.prefix)

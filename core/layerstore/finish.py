"""Finishing an upload: a sequence that can be cut off anywhere and repeated.

An upload that others know of, since it was flushed once:

    verify          the stored bytes hash to what is asked for
    intent          put under the upload: which blob the data is about to become
    move            the data becomes the blob, if it is still at the version that was verified
    link            the repository points to the blob
    remove          the upload goes: first ``startedat``, by which it exists, then everything

Cut off before the move, the upload is as it was. After the move its data is gone and the intent tells which blob it has
become; a finish then reads that blob back, since others may have written it meanwhile, and goes on with the link.

One that nobody else knows of, and whose bytes were all hashed on their way in, is gone on with by nobody else:

    verify          the bytes in hand, or those given to the spool, hash to what is asked for
    put or move     the bytes become the blob
    link            the repository points to the blob
    look            the blob is there; if it is not, bytes in hand are put once more

Cut off before the move, the data is left, which a purge takes; cut off before the link, a blob that a collection takes.
Without an intent, a collection may take the blob before it is linked, if its grace is shorter than that takes. One that
moves it after the link was put sees the link in its third mark, and puts it back. So a blob that is there when it is
looked for stays; one that is not is put once more, behind the link. Bytes that were moved are in hand no more: then the
finish fails, and the upload is gone. Bytes that have to be read back make of an upload one that others know of.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore import layout, links
from layerstore.digest import Digest
from layerstore.errors import (
    FencedError,
    InvalidArchiveError,
    InvalidDigestError,
    LayerInvalidDigestError,
    LayerInvalidSizeError,
    PathNotFoundError,
)
from layerstore.spool import Spool, measure

if TYPE_CHECKING:
    from datetime import datetime

    from layerstore.checked import CheckedDriver
    from layerstore.layout import UploadKeys
    from layerstore.spool import Verify


def begin(driver: CheckedDriver, keys: UploadKeys, started_at: datetime, spool: Spool, becoming: Digest | None) -> None:
    """Have others know of an upload whose data is published, or may have become a blob already.

    Once its start is put, its data must still be its own: a purge takes what has no start.

    Raises:
        FencedError: it is not, or no longer.
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


def put_start(driver: CheckedDriver, keys: UploadKeys, started_at: datetime) -> None:
    """Have an upload exist."""
    driver.put(keys.started_at, f"{started_at:%Y-%m-%dT%H:%M:%SZ}".encode("ascii"))


def check_size(size: int | None, actual: int) -> None:
    """Compare a size, if one is given.

    Raises:
        LayerInvalidSizeError: another one.
    """
    if size is not None and size != actual:
        raise LayerInvalidSizeError(size, actual)


def verify_and_put(driver: CheckedDriver, name: str, data: bytes, wanted: Digest) -> Digest:
    """Verify bytes in hand, put them at their content address, and return that.

    Raises:
        LayerInvalidDigestError: they are others; nothing was put.
        LayerExistsError: a tarsum that other bytes have in this repository.
        InvalidArchiveError: a tarsum, of what is no tar archive.
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
        LayerInvalidDigestError: another one.
    """
    if actual != wanted:
        raise LayerInvalidDigestError(str(wanted), str(actual))


def intend(driver: CheckedDriver, keys: UploadKeys, wanted: Digest, canonical: Digest) -> None:
    """Record which blob the data is about to become."""
    driver.put(keys.intent(canonical), str(wanted).encode("ascii"))


def move(driver: CheckedDriver, keys: UploadKeys, canonical: Digest, version: str | None) -> None:
    """Make the data, at the version that was verified, the blob.

    Raises:
        FencedError, PathNotFoundError: it is no longer at that.
    """
    driver.move(keys.data, layout.blob(canonical), version=version)


def link(driver: CheckedDriver, name: str, wanted: Digest, canonical: Digest) -> None:
    """Point to a blob by the digest asked for, and by its own."""
    for digest in {wanted: None, canonical: None}:
        links.write(driver, name, digest, canonical)


def look(driver: CheckedDriver, canonical: Digest, data: bytes | None) -> None:
    """Look whether a blob that was linked without an intent is there, and put it once more if it is not.

    Raises:
        PathNotFoundError: it is not, and there are no bytes in hand.
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
        """Hold the blobs it may have become, by canonical digest, with their sizes in bytes.

        ``known``: others know of the upload, and may have cancelled it or finished it.
        """
        self._driver = driver
        self._keys = keys
        self._blobs = blobs
        self._known = known

    @property
    def size(self) -> int:
        """Bytes of the blob; where an earlier finish has left its intent too, of the larger: uploads never shrink."""
        return max(self._blobs.values())

    def verify(self, wanted: Digest, size: int | None) -> Digest:
        """Return the blob that is what is asked for, having read it back.

        Raises:
            LayerInvalidDigestError: none of them is.
            LayerInvalidSizeError: it is of another size.
            LayerExistsError: a tarsum that other bytes have in this repository.
            InvalidArchiveError: a tarsum, of what is no tar archive.
            PathNotFoundError: the upload is gone.
        """
        failures: list[LayerInvalidDigestError | InvalidArchiveError] = []
        for canonical, actual_size in self._blobs.items():
            try:
                self._read_back(canonical, canonical)
                self._read_back(canonical, wanted)
            except (LayerInvalidDigestError, InvalidArchiveError) as error:
                failures.append(error)
                continue
            check_size(size, actual_size)
            links.check_free(self._driver, self._keys.name, wanted, canonical)
            self._settle(canonical)
            if self._known:  # cancelled, or finished elsewhere, it is not linked once more
                self._driver.stat(self._keys.started_at)
            return canonical
        raise failures[-1]

    def _settle(self, canonical: Digest) -> None:
        """Make the blob durable before a link leads to it: whoever moved it may have died before it was."""
        writer = self._driver.open_writer(layout.blob(canonical))
        try:
            if writer.version is None:
                raise PathNotFoundError(writer.key)
            with suppress(FencedError):  # moved there once more, and durably
                writer.flush()
        finally:
            writer.discard()

    def _read_back(self, canonical: Digest, wanted: Digest) -> None:
        with self._driver.open_reader(layout.blob(canonical)) as reader:
            actual = measure(reader, wanted)
        if actual != wanted:
            raise LayerInvalidDigestError(str(wanted), str(actual))


def find_moved(driver: CheckedDriver, keys: UploadKeys, becoming: Digest | None = None) -> Moved | None:
    """Find out what an upload's data was moved to; None if it was not moved.

    ``becoming`` is what it can only be, where there is no intent, for nobody else knows of the upload.
    """
    if becoming is not None:
        blob = driver.find(layout.blob(becoming)) if driver.find(keys.data) is None else None
        return Moved(driver, keys, {becoming: blob.size}, known=False) if blob else None
    if driver.find(keys.started_at) is None or driver.find(keys.data) is not None:
        return None
    blobs: dict[Digest, int] = {}
    for key in driver.list(keys.intents):
        try:
            canonical = Digest("sha256", key.rpartition("/")[2])
        except InvalidDigestError:
            continue  # not ours
        stat = driver.find(layout.blob(canonical))
        if stat is not None:
            blobs[canonical] = stat.size
    return Moved(driver, keys, blobs) if blobs else None


def remove(driver: CheckedDriver, keys: UploadKeys) -> None:
    """Remove an upload: from the first step on it does not exist, whatever is cut off."""
    driver.delete(keys.started_at)
    driver.delete(keys.prefix)

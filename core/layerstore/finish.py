"""Finishing an upload: a sequence that can be cut off anywhere and repeated.

    verify          the stored bytes hash to what is asked for
    intent          put under the upload: which blob the data is about to become
    move            the data becomes the blob, if it is still at the version that was verified
    link            the repository points to the blob
    remove          the upload goes: first ``startedat``, by which it exists, then everything

Cut off before the move, the upload is as it was. After the move its data is gone and the intent tells which blob it has
become; a finish then reads that blob back, since others may have written it meanwhile, and goes on with the link.
"""

from __future__ import annotations

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
    from layerstore.checked import CheckedDriver
    from layerstore.layout import UploadKeys
    from layerstore.spool import Verify


def check_size(size: int | None, actual: int) -> None:
    """Compare a size, if one is given.

    Raises:
        LayerInvalidSizeError: another one.
    """
    if size is not None and size != actual:
        raise LayerInvalidSizeError(size, actual)


def verify_and_move(driver: CheckedDriver, keys: UploadKeys, spool: Spool, wanted: Digest, verify: Verify) -> Digest:
    """Verify what a spool has published, move it to its content address, and return that.

    Raises:
        LayerInvalidDigestError: the bytes are others; the upload stays as it was.
        LayerExistsError: a tarsum that other bytes have in this repository.
        FencedError, PathNotFoundError: the data is no longer what the spool has published.
    """
    canonical = spool.canonical(verify)
    actual = canonical if wanted.algorithm == canonical.algorithm else spool.measure(wanted)
    if actual != wanted:
        raise LayerInvalidDigestError(str(wanted), str(actual))
    links.check_free(driver, keys.name, wanted, canonical)
    driver.put(keys.intent(canonical), str(wanted).encode("ascii"))
    driver.move(keys.data, layout.blob(canonical), version=spool.version)
    return canonical


class Moved:
    """An upload whose data has become a blob already: a finish was cut off, or is under way elsewhere."""

    def __init__(self, driver: CheckedDriver, keys: UploadKeys, blobs: dict[Digest, int]) -> None:
        """Hold the blobs it may have become, by canonical digest, with their sizes in bytes."""
        self._driver = driver
        self._keys = keys
        self._blobs = blobs

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
            self._driver.stat(self._keys.started_at)  # cancelled, or finished elsewhere, it is not linked once more
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


def find_moved(driver: CheckedDriver, keys: UploadKeys) -> Moved | None:
    """Find out what an upload's data was moved to; None if it was not moved."""
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

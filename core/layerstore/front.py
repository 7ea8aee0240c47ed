"""The front buffer: an upload's bytes are gathered here, and reach the backend in blocks, or at once as a small layer.

Most uploads are small, or are written straight through by one handle. Up to :data:`FRONT` bytes nothing of an upload is
in the backend; beyond that, small writes still reach the spool together. Whoever needs the bytes to be in the backend
calls :meth:`Front.spill`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from layerstore.spool import Spool

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.layout import UploadKeys

FRONT: Final = 1 << 20
"""Bytes gathered at most: the unit in which hashing and writing are fast, and a small object for every backend."""


class Front:
    """The bytes of one upload: what is gathered, and a spool for the rest, which is opened when it is needed."""

    def __init__(self, driver: CheckedDriver, keys: UploadKeys, spool: Spool | None = None) -> None:
        """Go on at the end of a spool, or with nothing."""
        self._driver = driver
        self._keys = keys
        self._spool = spool
        self._gathered = bytearray()
        self._start = spool.size if spool else 0  # where in the upload the first gathered byte belongs

    @property
    def spool(self) -> Spool | None:
        """What is in the backend; None: nothing is, and :attr:`gathered` is all of the upload."""
        return self._spool

    @property
    def gathered(self) -> bytearray:
        """The bytes that have not reached the spool. They change with the next write."""
        return self._gathered

    @property
    def size(self) -> int:
        """Bytes of the upload, gathered ones included."""
        end = self._start + len(self._gathered) if self._gathered else 0
        return max(end, self._spool.size) if self._spool else end

    def gather(self, offset: int, data: bytes | memoryview) -> bool:
        """Take a copy of ``data`` if it fits in front of the backend; tell whether it did."""
        at, count = offset - self._start, len(data)
        beyond = at - len(self._gathered)
        if at < 0 or at + count > FRONT or (self._spool is not None and (beyond > 0 or count == FRONT)):
            return False
        if beyond == 0:  # by far the most common
            self._gathered += data
        elif beyond > 0:
            self._gathered += bytes(beyond) + data
        else:
            self._gathered[at : at + count] = data
        return True

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Take what :meth:`gather` did not, after what was gathered is in the spool.

        Less than :data:`FRONT` bytes are copied; more must not change while they are hashed. If the spool fails, what
        was gathered before stays, and the write may be repeated.
        """
        spool = self.spill()
        if len(data) < FRONT:
            self._start = offset
            self._gathered += data
        else:
            spool.store(offset, data)
            self._start = spool.size

    def spill(self) -> Spool:
        """Have everything in the spool, and return that."""
        if self._spool is None:
            self._spool = Spool(self._driver, self._keys)
        gathered = self._gathered
        if gathered:
            try:
                self._spool.store(self._start, memoryview(gathered))
                # Another buffer from here on: this one may still be hashed.
                self._start, self._gathered = self._start + len(gathered), bytearray()
            except BaseException:
                self._gathered = bytearray(gathered)
                raise
        return self._spool

    def release(self) -> None:
        """Close the spool without a flush. Again: does nothing."""
        if self._spool is not None:
            self._spool.release()

"""The buffer in front of an upload's spool: bytes are gathered here, and reach the backend in blocks.

Most uploads are small, or are written straight through by one handle. Up to :data:`FRONT` bytes, nothing of an upload
is in the backend, and finishing puts it as a layer at once. Beyond that, small writes still reach the spool together.
:meth:`Front.spill` writes the gathered bytes to the spool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from layerstore.uploads.spool import Spool

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore.layout import UploadKeys

FRONT: Final = 1 << 20
"""The most bytes that are gathered: hashing and writing are fast in this unit, and every backend stores it as small."""


class Front:
    """The bytes of one upload: those that are gathered, and a spool for the rest, which is opened when needed."""

    def __init__(self, driver: CheckedDriver, keys: UploadKeys, spool: Spool | None = None) -> None:
        """Begin with no bytes or, given a spool, at its end."""
        self._driver = driver
        self._keys = keys
        self._spool = spool
        self._gathered = bytearray()
        self._start = spool.size if spool else 0  # where in the upload the first gathered byte belongs

    @property
    def spool(self) -> Spool | None:
        """The bytes in the backend; None if there are none, and :attr:`gathered` is all of the upload."""
        return self._spool

    @property
    def gathered(self) -> bytearray:
        """The bytes that are not in the spool yet. The next write changes this buffer."""
        return self._gathered

    @property
    def size(self) -> int:
        """Bytes of the upload, including gathered ones."""
        end = self._start + len(self._gathered) if self._gathered else 0
        return max(end, self._spool.size) if self._spool else end

    def gather(self, offset: int, data: bytes | memoryview) -> bool:
        """Copy ``data`` into the buffer if it fits; return whether it did."""
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
        """Write data that :meth:`gather` refused, after the gathered bytes went to the spool.

        Data of less than :data:`FRONT` bytes is copied; larger data must not change while it is hashed. If the spool
        fails, the bytes gathered before stay, and the write may be repeated.
        """
        spool = self.spill()
        if len(data) < FRONT:
            self._start = offset
            self._gathered += data
        else:
            spool.store(offset, data)
            self._start = spool.size

    def spill(self) -> Spool:
        """Write the gathered bytes to the spool, and return it."""
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
        """Close the spool without a flush. Called again, it does nothing."""
        if self._spool is not None:
            self._spool.release()

"""Writing: in pieces of one size, each stored under a name of its own, which a head makes the object (W1 to W9).

Only one piece is in memory to be written to, mostly the last. To write to another one, it is stored as it is, under a
new id, and the other one is read back, unless all of it is overwritten.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from layerstore.driver import Writer
from layerstore.errors import DriverError, FencedError, NoSpaceError, PathNotFoundError
from layerstore.objectstore.head import new_id, nonce, place
from layerstore.objectstore.stager import Stager

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.objectstore.hold import Hold
    from layerstore.threads.pool import Pool


class ObjectWriter(Writer):
    """Stores pieces while it is written to, and puts a head that names them when it is flushed."""

    def __init__(self, hold: Hold, pool: Pool) -> None:
        """Write to a key."""
        head = hold.head
        super().__init__(hold.key, head.size or 0, None if head.size is None else head.version)
        self.hold = hold
        self._stager = Stager(pool, partial(_store, hold), partial(_unstore, hold))
        self._piece = head.piece
        self._pieces = list(head.pieces)
        self._stored = {place(piece)[0] for piece in head.pieces}
        """The ids of all that is stored for the key, as far as this writer knows."""
        self._open: int | None = None
        """Which piece is in memory."""
        self._data = bytearray()
        self._dirty = False
        self._changed = head.size is None
        self._session, self._count = nonce(), 0

    def write_at(self, offset: int, data: memoryview) -> None:
        """Gather the bytes, and store pieces that are full."""
        self._stager.admit()
        self._cut()
        self._changed = True
        if offset > self.size:
            self._extend(offset)
        done = 0
        while done < len(data):
            number, start = divmod(offset + done, self._piece)
            part = data[done : done + self._piece - start]
            self._overlay(number, start, part)
            done += len(part)

    def publish(self) -> str:
        """Store what is not stored, and put a head; if there is nothing new, see that nobody else has done anything.

        Raises:
            FencedError: somebody has.
            NoSpaceError: more pieces than an object may have.
        """
        self._cut()
        if self._changed:
            self._publish()
            self._changed = False
        else:
            self.hold.check()
        return self.hold.head.version

    def publish_last(self) -> None:
        """Leave a plain object, if all of it fits in one piece.

        Raises:
            FencedError: the key is no longer held.
        """
        if self.size > self._piece:
            super().publish_last()
            return
        self._cut()
        self._overlay(0, 0, b"")
        self._stager.settle()
        self.hold.end(bytes(self._data))
        self._drop(set(self._stored))

    def _publish(self) -> None:
        if len(self._pieces) + (self._open == len(self._pieces)) > self.hold.store.service.limits.most_parts:
            raise NoSpaceError(self.key, f"more than {self.hold.store.service.limits.most_parts} pieces of an object")
        self._seal(self._stager.add)
        self._stager.settle()
        # If it is refused, the pieces stay: the head may have been put before, and others may have gone on from it.
        self.hold.publish(self.size, self._piece, tuple(self._pieces))
        self._drop(self._stored - {place(piece)[0] for piece in self._pieces})

    def release(self) -> None:
        """Forget unpublished bytes. Pieces that are stored of them stay until the key is deleted."""
        if hasattr(self, "_stager"):
            self._stager.forget()
        self._data = bytearray()

    def _length(self, number: int, size: int) -> int:
        """Return how long a piece is in an object of this size."""
        return max(0, min(self._piece, size - number * self._piece))

    def _cut(self) -> None:
        """Forget bytes beyond the end: a write that failed may have left them."""
        del self._pieces[-(-self.size // self._piece) :]
        if self._open is not None:
            del self._data[self._length(self._open, self.size) :]
            if not self._data:
                self._open, self._dirty = None, False

    def _extend(self, end: int) -> None:
        """Add zeros. Pieces that are all zeros are one piece, stored once."""
        at, zeros = self.size, ""
        while at < end:
            number, start = divmod(at, self._piece)
            stop = min(self._piece, start + end - at)
            if (start, stop) == (0, self._piece):
                self._leave()
                zeros = zeros or self._send(bytes(self._piece))
                self._set(number, zeros)
            else:
                self._overlay(number, start, bytes(stop - start))
            at += stop - start

    def _overlay(self, number: int, start: int, part: bytes | memoryview) -> None:
        """Write into a piece, which comes into memory for that.

        It comes there with the new bytes in it. Interrupted in between, it would lack those that were to be replaced.
        """
        if self._open != number:
            self._leave()
            old = self._length(number, self.size) if number < len(self._pieces) else 0
            whole = start == 0 and len(part) >= old
            data = bytearray() if whole else bytearray(self._piece_bytes(number, old))
            data[start : start + len(part)] = part
            self._data, self._open, self._dirty = data, number, True
        else:
            self._data[start : start + len(part)] = part
            self._dirty = True

    def _piece_bytes(self, number: int, length: int) -> bytes:
        stored, start = place(self._pieces[number])
        data = self._stager.bytes_of(stored)
        if data is not None:
            return data[:length]
        store = self.hold.store
        try:
            return store.read(self.key, store.piece(self.key, stored), start, start + length)
        except PathNotFoundError:  # a piece goes only if the object was replaced
            raise FencedError(self.key) from None

    def _seal(self, send: Callable[[str, bytes], None]) -> None:
        """Store the piece in memory under a new id, if there is anything new in it.

        It is sent before it is named: interrupted or refused in between, it is still here, to be sent under another id.
        """
        if self._open is None or not self._dirty:
            return
        data = bytes(self._data)
        piece = self._new(len(data))
        send(piece, data)
        self._set(self._open, piece)
        self._dirty = False

    def _leave(self) -> None:
        """Store the piece in memory, and forget it."""
        self._seal(self._stager.submit)
        self._open, self._data = None, bytearray()

    def _send(self, data: bytes) -> str:
        piece = self._new(len(data))
        self._stager.submit(piece, data)
        return piece

    def _new(self, size: int) -> str:
        self._count += 1
        piece = new_id(self._session, self._count, size)
        self._stored.add(piece)
        return piece

    def _set(self, number: int, piece: str) -> None:
        """Put a piece in its place; pieces come in order, so it is at most the next one."""
        self._pieces[number : number + 1] = [piece]

    def _drop(self, stored: set[str]) -> None:
        """Delete what belongs to no version any more. If that fails, it goes when the key is deleted."""
        self._stored -= stored
        with suppress(DriverError):
            self.hold.store.delete_names(self.key, sorted(self.hold.store.piece(self.key, each) for each in stored))


def _store(hold: Hold, piece: str, data: bytes) -> None:
    """Store a piece. No method of the writer's, which would then be freed only by a search for cycles."""
    store = hold.store
    store.call(hold.key, store.service.put, store.piece(hold.key, piece), data, {})


def _unstore(hold: Hold, piece: str) -> None:
    with suppress(DriverError):
        hold.store.delete_names(hold.key, [hold.store.piece(hold.key, piece)])

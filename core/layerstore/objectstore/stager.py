"""Pieces on their way to the service, several at a time, while their writer goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING

from layerstore.errors import DriverError

if TYPE_CHECKING:
    from layerstore.threads.pool import Pool


class Stager:
    """One writer's pieces. Those that fail keep their bytes, and are sent again before more are accepted."""

    def __init__(
        self, pool: Pool, store: Callable[[str, bytes], None], drop: Callable[[str], None] = lambda piece: None
    ) -> None:
        """Store by ``store``, which takes a piece's id and its bytes.

        ``drop`` takes the id of a piece that was stored when its writer was gone: nobody else will ever delete it.
        """
        self._pool = pool
        self._store = store
        self._drop = drop
        self._forgotten = False
        self._under_way: dict[Future[None], str] = {}
        self._bytes: dict[str, bytes] = {}
        """Of the pieces that are not stored."""

    def submit(self, piece: str, data: bytes) -> None:
        """Send a piece, as soon as fewer than the pool's threads are busy with this writer's pieces.

        Raises:
            DriverError: so many have failed, and one fails again.
        """
        while len(self._bytes) >= self._pool.threads:
            if self._under_way:
                self._collect(wait(self._under_way, return_when=FIRST_COMPLETED).done)
            else:
                self.admit()
        self._bytes[piece] = data
        self._under_way[self._pool.submit(lambda: self._send(piece, data))] = piece

    def _send(self, piece: str, data: bytes) -> None:
        self._store(piece, data)
        if self._forgotten:
            self._drop(piece)

    def bytes_of(self, piece: str) -> bytes | None:
        """Return the bytes of a piece, unless it is stored."""
        return self._bytes.get(piece)

    def admit(self) -> None:
        """Send failed pieces again, before more bytes are accepted.

        Raises:
            DriverError: one fails again.
        """
        for piece in [piece for piece in self._bytes if piece not in self._under_way.values()]:
            self._store(piece, self._bytes[piece])
            del self._bytes[piece]

    def add(self, piece: str, data: bytes) -> None:
        """Take a piece that the next :meth:`settle` sends, in its own thread."""
        self._bytes[piece] = data

    def settle(self) -> None:
        """Wait until all pieces are stored.

        Raises:
            DriverError: one cannot be stored; it may be tried again.
        """
        self._collect(wait(self._under_way).done)
        self.admit()

    def forget(self) -> None:
        """Drop the pieces that have not begun now, and those that are under way when they are stored."""
        self._forgotten = True
        for future in self._under_way:
            future.cancel()
        self._under_way.clear()
        self._bytes.clear()

    def _collect(self, done: set[Future[None]]) -> None:
        for future in done:
            piece, error = self._under_way.pop(future), future.exception()
            if error is None:
                del self._bytes[piece]
            elif not isinstance(error, DriverError):
                raise error

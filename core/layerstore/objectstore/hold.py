"""Fencing: which writer may publish under a key, and how all others find out (clauses F1 to F4).

A writer holds a key by the ETag of its head. Opening another writer, publishing, putting, moving and deleting all leave
another ETag, or none, and each head is put on condition of the ETag before. So the service decides which of two comes
first, and the other one is refused. No clock is asked.

If no answer comes at all, the head may have been put. Its nonce is kept: if the writer meets it later, it goes on from
there.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from layerstore.errors import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore.objectstore.head import Found, Head, Moving, ended, new_id, nonce
from layerstore.objectstore.service import ABSENT
from layerstore.objectstore.store import ATTEMPTS, Store, plain


def take(store: Store, key: str, piece: int) -> tuple[Head, str]:
    """Fence every writer of a key, and return its head and the ETag of that; ``piece`` is the size of a new one's.

    Raises:
        BackendUnavailableError: others took it a hundred times in between.
    """
    for _ in range(ATTEMPTS):
        with suppress(FencedError, PathNotFoundError):  # somebody came in between
            return _take(store, key, store.look_whole(key), piece)
    raise BackendUnavailableError(key, f"taken over {ATTEMPTS} times while it was opened")


def _take(store: Store, key: str, state: Found | None, piece: int) -> tuple[Head, str]:
    if state is not None and state.head is None:
        return take_plain(store, key, state, piece)
    head = state.head.renewed() if state and state.head else Head(nonce(), piece=piece)
    return head, store.swap(key, head, state.etag if state else ABSENT)


def take_plain(store: Store, key: str, state: Found, piece: int, moving: Moving | None = None) -> tuple[Head, str]:
    """Put a head in place of a plain object; a copy of that holds all its pieces.

    Raises:
        FencedError, PathNotFoundError: another object lies there, or none.
    """
    size, copy = state.stored, new_id(nonce(), 0, state.stored)
    pieces = tuple(f"{copy}:{start}" if start else copy for start in range(0, size, piece))
    head = Head(nonce(), size, state.version, state.modified, state.made, piece, pieces, moving)
    if size:
        store.compose(key, [plain(store.name(key), state)], store.piece(key, copy))
    # If we are refused, the copy stays: the head may have been put, and others may have gone on from it.
    return head, store.swap(key, head, state.etag)


class Hold:
    """One writer's hold on a key until it is fenced."""

    def __init__(self, store: Store, key: str, head: Head, etag: str) -> None:
        """Hold the result of :func:`take`."""
        self.store = store
        self.key = key
        self.head = head
        self.etag = etag
        self._pending: dict[str, Head] = {}

    def check(self) -> None:
        """Make sure that the key is still held.

        Raises:
            FencedError: it is not.
        """
        if not self._recognise(self.store.look(self.key)):
            raise FencedError(self.key)

    def publish(self, size: int, piece: int, pieces: tuple[str, ...]) -> None:
        """Make an object of pieces that are stored.

        Raises:
            FencedError: the key is no longer held.
        """
        head = Head(nonce(), size, nonce(), datetime.now(UTC), self.head.made, piece, pieces)
        while self.head is not head:
            self._pending[head.nonce] = head
            try:
                self._done(head, self.store.swap(self.key, head, self.etag))
            except FencedError:
                before = self.etag
                if not self._recognise(self.store.look(self.key)) or self.etag == before:
                    raise

    def end(self, data: bytes) -> None:
        """Put a plain object in place of the head, and hold the key no longer: its ETag would be no fence.

        Raises:
            FencedError: the key is no longer held.
        """
        mark = ended(self.head)
        while True:
            try:
                return self.store.end(self.key, data, mark, self.etag)
            except FencedError:
                before = self.etag
                if not self._recognise(self.store.look(self.key)) or self.etag == before:
                    raise

    def _recognise(self, now: Found | None) -> bool:
        """Return whether we, and nobody else, have left what lies there; and hold it."""
        if now is None or now.head is None:
            return False
        if now.etag != self.etag and now.head.nonce in self._pending:
            self._done(self._pending[now.head.nonce], now.etag)
        return now.etag == self.etag

    def _done(self, head: Head, etag: str) -> None:
        self.head, self.etag = head, etag
        self._pending = {}

    def known(self) -> Found | None:
        """Return the object as it was published last; None if it was not, or in part that is uncertain."""
        head = self.head
        if head.size is None or self._pending or head.moving:
            return None
        return Found(self.etag, head.size, head.version, head.modified, head.made, head)

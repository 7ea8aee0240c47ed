"""Moving: the service copies, and then the source is deleted (clauses M1 to M5).

    1. look     is the source there, and at the version asked for? Skipped if a writer of this driver knows it
    2. claim    put the source's head again, with a note of the target: no writer of it can publish any more. An object
                that lies there as it is gets a head, as if a writer were opened
    3. compose  the target, of the source's pieces
    4. delete   the source, if its head is still the one of the claim; then its pieces

A failure before the composing leaves source and target as they were. A move that is cut off after it leaves both.

Two moves of one source at once: the one that finds it claimed waits a while for it to go. If it does not go (the other
process was killed, or is slow), it is claimed again. If the other one's target is there already, the source is deleted
in the other one's name: there is nothing left to move.

If a writer is opened between 3 and 4, it finds the source still there, and is fenced when the source goes. If it has
published by then, its bytes stay under the source: they are another object, made after the move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.errors import BackendUnavailableError, DriverError, FencedError, PathNotFoundError
from layerstore.objectstore.head import Head, Moving, nonce, place
from layerstore.objectstore.hold import take_plain
from layerstore.objectstore.store import ATTEMPTS

if TYPE_CHECKING:
    from layerstore.objectstore.head import Found
    from layerstore.objectstore.store import Store

PATIENCE = 50
"""How often another move's source is looked at before it is claimed again."""

PAUSE = 0.1
"""Seconds between two looks."""


def move(
    store: Store,
    source: str,
    target: str,
    version: str | None,
    *,
    piece: int,
    known: Found | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Move an object. ``known`` is its last known state: if it is still true, the claim succeeds without a look.

    Raises:
        PathNotFoundError: nothing is published under ``source``.
        FencedError: it is not at ``version``.
        BackendUnavailableError: the target cannot be composed; both are as they were.
    """
    ours: set[str] = set()
    for _ in range(ATTEMPTS):
        state = known if known and version in {None, known.version} else _look(store, source, version, ours, pause)
        store.writable(source)  # not before: a service may make a missing bucket of the first thing that is put there
        known = None
        moving = Moving(nonce(), target)
        ours.add(moving.made)
        with suppress(FencedError, PathNotFoundError):  # somebody came in between: look again
            head, etag = _claim(store, source, state, moving, piece)
            if not _is_moved(store, state):
                _compose(store, source, head, etag, moving)
                _delete(store, source, head, etag)
                return
            _delete(store, source, head, etag)
    raise BackendUnavailableError(source, f"taken over {ATTEMPTS} times while it was moved")


def _look(store: Store, source: str, version: str | None, ours: set[str], pause: Callable[[float], None]) -> Found:
    """Return the source as it is; if another move has claimed it, wait for that first."""
    first, left = "", PATIENCE
    while True:
        state = store.look_whole(source)
        if state is None or state.size is None:
            raise PathNotFoundError(source)
        if version not in {None, state.version}:
            raise FencedError(source, "not at the version given")
        first = first or state.etag
        moving = state.head.moving if state.head else None
        if not moving or moving.made in ours or state.etag != first or not left:
            return state  # if the note is ours, a writer was opened since, whose head keeps it
        left -= 1
        pause(PAUSE)


def _claim(store: Store, source: str, state: Found, moving: Moving, piece: int) -> tuple[Head, str]:
    if state.head is None:
        return take_plain(store, source, state, piece, moving)
    head = state.head.renewed(moving=moving)
    return head, store.swap(source, head, state.etag)


def _is_moved(store: Store, state: Found) -> bool:
    """Return whether the move that had claimed the source before us has made its target."""
    before = state.head.moving if state.head else None
    return before is not None and _is_made(store, before)


def _is_made(store: Store, moving: Moving) -> bool:
    now = store.look(moving.target)
    return now is not None and now.made == moving.made


def _compose(store: Store, source: str, head: Head, etag: str, moving: Moving) -> None:
    try:
        store.compose(moving.target, store.parts(source, head), store.name(moving.target), moving.made)
    except DriverError as error:
        if _is_made(store, moving):
            return  # only the answer was lost
        if isinstance(error, PathNotFoundError):
            store.swap(source, head.renewed(moving=None), etag)  # refused, if another move has done ours meanwhile
            raise BackendUnavailableError(source, "its pieces are gone") from error
        with suppress(DriverError):  # so that another attempt need not wait
            store.swap(source, head.renewed(moving=None), etag)
        raise


def _delete(store: Store, source: str, head: Head, etag: str) -> None:
    """Delete the source, unless it has become another object; then its pieces."""
    for _ in range(ATTEMPTS):
        try:
            store.call(source, store.service.delete, store.name(source), etag)
        except FencedError:
            now = store.look(source)
            if now is not None and now.version == head.version:
                etag = now.etag  # a writer was opened, or a move begun
                continue
            if now is not None:
                return  # another object, perhaps of some of these pieces
        with suppress(DriverError):
            store.delete_names(source, _stored(store, source, head))
        return
    raise BackendUnavailableError(source, f"taken over {ATTEMPTS} times while it was moved")


def _stored(store: Store, source: str, head: Head) -> Iterator[str]:
    return (store.piece(source, each) for each in dict.fromkeys(place(piece)[0] for piece in head.pieces))

"""Moving: a copy by the service, checked, before the source goes (clauses M1 to M5).

    1. look     is the source there, and at the version asked for? Not asked where a writer of this driver knows
    2. claim    the source's metadata are written anew, on condition of its ETag: no writer of it can publish any more;
                they note where it is about to go
    3. copy     on condition of the source's new ETag; then look at the target's size
    4. delete   the source, on condition of its ETag

Whatever fails before the copy has happened leaves source and target as they were. Cut off after it, both are there.

Two that move one source at once: whoever finds it claimed waits a while for it to go. If it does not (the other one was
killed, or is slow), it is claimed once more. From then on the other one's copy is refused; if it has happened already,
the target noted tells so, and the source is deleted in its name: there is nothing left to move.

A writer that is opened between 3 and 4, which finds the source still there, is fenced when that goes; if it has even
published by then, its bytes stay under the source, which is then another object made after the move.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    DriverError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_drivers.azure.blobs import ATTEMPTS
from layerstore_drivers.azure.copying import PAUSE, Copy, copy, is_done
from layerstore_drivers.azure.found import CONTENT, MARK, MOVING, SIZE, Found, content_of, new_mark

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.signing import Signing

PATIENCE = 5.0
"""Seconds that another one's move of the same source is waited for."""


def move(
    blobs: Blobs, signing: Signing, source: str, target: str, version: str | None, known: Found | None = None
) -> None:
    """Move an object; ``known`` is what it was last: if it still is, the claim succeeds, and no look was needed.

    Raises:
        PathNotFoundError: nothing is published under ``source``.
        FencedError: it is not at ``version``.
        BackendUnavailableError: the copy failed; both are as they were.
    """
    ours: set[str] = set()
    for _ in range(ATTEMPTS):
        found = _known(known, version) or _look(blobs, source, version, ours)
        known = None
        made = new_mark()
        ours.add(made)
        with suppress(FencedError, PathNotFoundError):  # somebody came in between: what is there now?
            etag, notes = _claim(blobs, source, found, f"{made} {target}")
            if _is_moved(blobs, found):
                _delete(blobs, source, found.version, etag)
                continue
            _copy(blobs, signing, notes, Copy(source, etag, found.size or 0, target, made, found.kind))
            _delete(blobs, source, found.version, etag)
            return
    raise BackendUnavailableError(source, f"taken over {ATTEMPTS} times while it was moved")


def _known(found: Found | None, version: str | None) -> Found | None:
    """Return what is known of the source, if that is enough to claim it."""
    if found is None or found.size is None or version not in {None, found.version} or MOVING in found.metadata:
        return None
    return found


def _look(blobs: Blobs, source: str, version: str | None, ours: set[str]) -> Found:
    """Return the source as it is; if another one moves it, not before that has had its time."""
    deadline, first = time.monotonic() + PATIENCE, ""
    while True:
        found = blobs.look(source)
        if found is None or found.size is None:
            raise PathNotFoundError(source)
        if version not in {None, found.version}:
            raise FencedError(source, "not at the version given")
        first = first or found.etag
        mover = found.metadata.get(MOVING, "").partition(" ")[0]
        if not mover or mover in ours or found.etag != first or time.monotonic() >= deadline:
            return found  # where it is ours, a writer was opened since, whose metadata keep the note
        time.sleep(PAUSE)


def _claim(blobs: Blobs, source: str, found: Found, where: str) -> tuple[str, dict[str, str]]:
    """Fence the writers of the source, and return its ETag and notes; its blob is then nothing but the object."""
    mark = new_mark()
    notes = {**found.noted(mark), MOVING: where}
    try:
        if found.size == found.blob_size:
            return blobs.note(source, notes, found.etag), notes
        del notes[SIZE]
        seen = _seen(blobs.with_blocks(source, found))
        notes[CONTENT] = content_of(seen)
        return blobs.commit(source, [name for name, _ in seen], notes, found.etag).etag, notes
    except (FencedError, PathNotFoundError):
        now = blobs.find(source)
        if now is None or now.mark != mark:
            raise
        return now.etag, notes


def _seen(found: Found) -> list[tuple[str, int]]:
    """Return the blocks of the object; behind them a writer has kept some unseen."""
    seen: list[tuple[str, int]] = []
    rest = found.size or 0
    for name, length in found.listed or ():
        if rest <= 0:
            break
        seen.append((name, length))
        rest -= length
    return seen


def _is_moved(blobs: Blobs, found: Found) -> bool:
    """Tell whether the move that had claimed the source before us has made its copy."""
    made, _, target = found.metadata.get(MOVING, "").partition(" ")
    return bool(made) and is_done(blobs, target, made)


def _copy(blobs: Blobs, signing: Signing, claim: dict[str, str], wanted: Copy) -> None:
    try:
        copy(blobs, signing, wanted)
    except (AccessDeniedError, BackendUnavailableError, UnsupportedOperationError):
        notes = {name: value for name, value in claim.items() if name != MOVING}
        with suppress(DriverError):  # so that whoever tries again need not wait
            blobs.note(wanted.source, {**notes, MARK: new_mark()}, wanted.etag)
        raise


def _delete(blobs: Blobs, source: str, version: str, etag: str) -> None:
    """Delete the source, unless it has become another object."""
    for _ in range(ATTEMPTS):
        try:
            blobs.delete(source, etag)
        except PathNotFoundError:
            return
        except FencedError:
            now = blobs.look(source)
            if now is None or now.version != version:
                return
            etag = now.etag  # a writer was opened, or a move begun
        else:
            return
    raise BackendUnavailableError(source, f"taken over {ATTEMPTS} times while it was moved")

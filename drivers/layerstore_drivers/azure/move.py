"""Moving: the service copies, and then the source is deleted (clauses M1 to M5).

    1. look     is the source there, and at the version asked for? Skipped if a writer of this driver knows it
    2. claim    write the source's metadata again, on condition of its ETag: no writer of it can publish any more. They
                note the target
    3. copy     on condition of the source's new ETag
    4. delete   the source, on condition of its ETag

A failure before the copy leaves source and target as they were. A move that is cut off after the copy leaves both.

Two moves of one source at once: the one that finds it claimed waits a while for it to go. If it does not go (the other
process was killed, or is slow), the source is claimed again. From then on the other one's copy is refused. If that copy
has happened already, the noted target shows it, and the source is deleted in the other one's name: there is nothing
left to move.

If a writer is opened between 3 and 4, it finds the source still there, and is fenced when the source goes. If it has
published by then, its bytes stay under the source: they are another object, made after the move.

The copy must be complete at once, so that nobody sees a target that is not. The service's asynchronous copy shows a
target of no bytes while it is pending, and for good if it fails. So the service copies up to 256 MiB while the request
waits. Larger objects are staged in blocks, each from a range of the source, and committed. An emulator that cannot do
that copies everything at once.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
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
from layerstore_drivers.azure.blocks import BlockIDs
from layerstore_drivers.azure.found import (
    BLOCK,
    CONTENT,
    MADE,
    MARK,
    MOVING,
    SIZE,
    Found,
    content_of,
    new_mark,
    published,
)

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.client import Signing


PATIENCE = 5.0
"""Seconds to wait for another move of the same source."""


def move(
    blobs: Blobs, signing: Signing, source: str, target: str, version: str | None, known: Found | None = None
) -> None:
    """Move an object. ``known`` is its last known state: if it is still true, the claim succeeds without a look.

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
        with suppress(FencedError, PathNotFoundError):  # somebody came in between: look again
            etag, notes = _claim(blobs, source, found, f"{made} {target}")
            if _is_moved(blobs, found):
                _delete(blobs, source, found.version, etag)
                continue
            _copy(blobs, signing, notes, Copy(source, etag, found.size or 0, target, made, found.kind))
            _delete(blobs, source, found.version, etag)
            return
    raise BackendUnavailableError(source, f"taken over {ATTEMPTS} times while it was moved")


def _known(found: Found | None, version: str | None) -> Found | None:
    """Return the known state of the source, if it is enough to claim it."""
    if found is None or version not in {None, found.version} or MOVING in found.metadata:
        return None
    if not found.size:  # of no bytes the time of creation is needed, which is not known
        return None
    return found


def _look(blobs: Blobs, source: str, version: str | None, ours: set[str]) -> Found:
    """Return the source as it is; if another move has claimed it, wait for that first."""
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
            return found  # if the note is ours, a writer was opened since, whose metadata keep it
        time.sleep(PAUSE)


def _claim(blobs: Blobs, source: str, found: Found, where: str) -> tuple[str, dict[str, str]]:
    """Fence the writers of the source, and return its ETag and notes; its blob then holds the object alone."""
    mark = new_mark()
    notes = {**found.noted(mark), MOVING: where}
    try:
        if found.size == found.blob_size:
            return blobs.note(source, notes, found.etag), notes
        del notes[SIZE]
        seen = _seen(blobs.with_blocks(source, found))
        notes[CONTENT] = content_of(seen) if seen else found.empty
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
    """Return whether the move that had claimed the source before us has made its copy."""
    made, _, target = found.metadata.get(MOVING, "").partition(" ")
    return bool(made) and is_done(blobs, target, made)


def _copy(blobs: Blobs, signing: Signing, claim: dict[str, str], wanted: Copy) -> None:
    try:
        copy(blobs, signing, wanted)
    except (AccessDeniedError, BackendUnavailableError, UnsupportedOperationError):
        notes = {name: value for name, value in claim.items() if name != MOVING}
        with suppress(DriverError):  # so that another attempt need not wait
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


AT_ONCE = 256 << 20
"""Bytes that Copy Blob From URL takes (Microsoft's documentation)."""

PART = 256 << 20
"""Bytes of a block staged from a URL; the service takes 4,000 MiB."""

PAUSE = 0.1
"""Seconds between two looks at a pending copy, or at a claimed source."""

LOOKS = 600
"""Looks at a pending copy before it is given up: at least a minute."""

SUCCESS = "success"
"""The status of a copy that is complete."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A blob with this ETag, of so many bytes, to become an object under ``target``."""

    source: str
    etag: str
    size: int
    target: str
    made: str
    """A nonce, which identifies the copy."""
    kind: str = BLOCK
    """The kind of the source blob; the target is of blocks."""


def copy(blobs: Blobs, signing: Signing, wanted: Copy) -> None:
    """Copy, and return when the target is complete. Mostly the service's answer says so.

    Raises:
        FencedError: the source has another ETag.
        PathNotFoundError: there is no source.
        BackendUnavailableError: the copy failed; there is no new target.
    """
    try:
        status = _request(blobs, signing, wanted)
    except DriverError:
        if not is_done(blobs, wanted.target, wanted.made):  # else only the answer was lost
            raise
        status = ""
    if status != SUCCESS:
        _await(blobs, wanted)


def is_done(blobs: Blobs, target: str, made: str) -> bool:
    """Return whether a copy is there, and was not replaced since."""
    found = blobs.find(target)
    return found is not None and found.metadata.get(MADE) == made


def _request(blobs: Blobs, signing: Signing, wanted: Copy) -> str:
    """Ask for the copy, and return its status."""
    url, authorization = signing.source(wanted.source)
    whole = wanted.size <= AT_ONCE and wanted.kind == BLOCK  # of another kind the service copies but parts
    if not whole and _in_parts(blobs, url, authorization, wanted):
        return SUCCESS
    return blobs.copy(url, authorization, wanted.etag, wanted.target, _notes(wanted))


def _in_parts(blobs: Blobs, url: str, authorization: str | None, wanted: Copy) -> bool:
    """Copy in blocks; return False where the service cannot, as Azurite."""
    listed, ids = [], BlockIDs()
    for start in range(0, wanted.size, PART):
        listed.append((ids.new(), min(PART, wanted.size - start)))
        try:
            blobs.stage_from(url, authorization, wanted.etag, start, listed[-1][1], wanted.target, listed[-1][0])
        except UnsupportedOperationError:
            return False
    blobs.commit(wanted.target, [name for name, _ in listed], _notes(wanted, content_of(listed)), None)
    return True


def _notes(wanted: Copy, content: str = "") -> dict[str, str]:
    return {**published(new_mark(), content), MADE: wanted.made}


def _await(blobs: Blobs, wanted: Copy) -> None:
    """Return when the copy is complete, or somebody has replaced it since.

    Raises:
        BackendUnavailableError: the copy failed, or takes too long; there is no target then.
    """
    looks = 0
    while True:
        made = blobs.find(wanted.target)
        if made is None or made.metadata.get(MADE) != wanted.made or made.copy_status in {"", SUCCESS}:
            return
        looks += 1
        if made.copy_status != "pending" or looks >= LOOKS:
            break
        time.sleep(PAUSE)
    _give_up(blobs, wanted, made)
    raise BackendUnavailableError(wanted.target, f"the copy is {made.copy_status}")


def _give_up(blobs: Blobs, wanted: Copy, made: Found) -> None:
    """Remove the target of a failed copy: it has no bytes, or none that count."""
    with suppress(DriverError):
        if made.copy_status == "pending":
            blobs.abort_copy(wanted.target)
    now = blobs.find(wanted.target)
    if now is not None and now.metadata.get(MADE) == wanted.made:
        with suppress(FencedError, PathNotFoundError):
            blobs.delete(wanted.target, now.etag)

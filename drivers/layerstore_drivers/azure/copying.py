"""Copying by the service: all at once, so that nobody sees a target that is not complete.

The service's asynchronous copy cannot do that: it shows a target of no bytes while it is pending, and for good where it
fails. So what the service copies while the request waits (up to 256 MiB) is copied so, and what is larger is staged in
blocks, each from a range of the source, and committed. An emulator that cannot do the latter copies everything at once.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layerstore.errors import (
    BackendUnavailableError,
    DriverError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_drivers.azure.blocks import BlockIDs
from layerstore_drivers.azure.found import BLOCK, MADE, Found, content_of, new_mark, published

if TYPE_CHECKING:
    from layerstore_drivers.azure.blobs import Blobs
    from layerstore_drivers.azure.signing import Signing

AT_ONCE = 256 << 20
"""Bytes that Copy Blob From URL takes (Microsoft's documentation)."""

PART = 256 << 20
"""Bytes of a block staged from a URL; the service takes 4,000 MiB."""

PAUSE = 0.1
"""Seconds between two looks at a copy that is pending after all."""

LOOKS = 600
"""How often it is looked at before it is given up: for a minute at least."""

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
    """A nonce: by it the copy is known for what it is."""
    kind: str = BLOCK
    """What kind of blob the source is; the target is of blocks."""


def copy(blobs: Blobs, signing: Signing, wanted: Copy) -> None:
    """Copy, and return when the target is complete: mostly the service's answer says that it is.

    Raises:
        FencedError: the source has another ETag.
        PathNotFoundError: there is no source.
        BackendUnavailableError: it cannot be copied; there is no target then that was not there before.
    """
    try:
        status = _request(blobs, signing, wanted)
    except DriverError:
        if not is_done(blobs, wanted.target, wanted.made):  # else it is only the answer that was lost
            raise
        status = ""
    if status != SUCCESS:
        _await(blobs, wanted)


def is_done(blobs: Blobs, target: str, made: str) -> bool:
    """Tell whether a copy is there, under its target; if that was replaced meanwhile, it is not."""
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
    """Take a copy's target away, which has no bytes, or none that count."""
    with suppress(DriverError):
        if made.copy_status == "pending":
            blobs.abort_copy(wanted.target)
    now = blobs.find(wanted.target)
    if now is not None and now.metadata.get(MADE) == wanted.made:
        with suppress(FencedError, PathNotFoundError):
            blobs.delete(wanted.target, now.etag)

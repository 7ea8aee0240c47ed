"""Heads: a small object in the place of one that is written to, or was. It names the pieces that hold the bytes.

An object that was put, or moved, lies under its key as it is. As soon as a writer is opened, there lies a head instead.
Every change of the object replaces the head, on condition of the ETag that was seen last: so the service decides, in
one step, which of two writers is too late. The body of a head has a nonce, and so no two heads have the same ETag, even
if they say the same: opening a writer changes the ETag and nothing else.

A head begins with a line of JSON, and the names of its pieces follow, one on each line. The metadata has the checksum
of the first line, which has the checksum of the rest and the length of everything. So what another program stores under
the key is no head, whether it keeps the metadata or not; and nobody makes a head by storing bytes that look like one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from layerstore.objectstore.service import Got

HEAD: Final = "layerstore-head"
"""The metadata of a head: the checksum of its first line."""

MADE: Final = "layerstore-made"
"""The metadata of everything else that the driver has stored: a nonce."""

FIRST_LINE: Final = 4096
"""Bytes of the first line at most: the longest thing in it is a key, of 1,000 bytes."""

ID: Final = 40
"""Bytes of the id of a stored object at most: a nonce of 16, a count, and a size."""

RESERVED: Final = 509
"""Bytes of a head that stands for no object: a listing tells sizes only, so one of this size has to be looked at."""


def nonce() -> str:
    """Return a text that nobody has used before."""
    return secrets.token_hex(8)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moving:
    """A note in a head: the object is being moved."""

    made: str
    """The nonce that the target will have."""
    target: str
    """Its key."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says."""

    nonce: str
    size: int | None = None
    """Bytes of the object; None if there is none yet: a writer has reserved the key."""
    version: str = ""
    modified: datetime = _LONG_AGO
    made: str = ""
    """The nonce of the object that was there before the first writer."""
    piece: int = 0
    """Bytes of each piece but the last, which may be shorter."""
    pieces: tuple[str, ...] = ()
    """Where they are, in order: the id of a stored object, and behind a colon the offset in it, unless that is 0.

    What is stored there may be longer than the piece. The id tells how long.
    """
    moving: Moving | None = None

    def renewed(self, **changes: Any) -> Self:  # noqa: ANN401  (fields of this class)
        """Return the same head with another nonce, and with these changes."""
        return replace(self, nonce=nonce(), **changes)

    def length(self, number: int) -> int:
        """Return how many bytes of a piece count."""
        return min(self.piece, (self.size or 0) - number * self.piece)

    def dump(self) -> tuple[bytes, dict[str, str]]:
        """Return the body and the metadata."""
        rest = "\n".join(self.pieces).encode()
        said: dict[str, Any] = {
            "nonce": self.nonce,
            "size": self.size,
            "version": self.version,
            "modified": self.modified.isoformat(),
            "made": self.made,
            "piece": self.piece,
            "moving": self.moving and [self.moving.made, self.moving.target],
            "rest": checksum(rest),
            "length": len(rest),
        }
        line = f"{json.dumps(said):{RESERVED - 1 if self.size is None else 0}}\n".encode()
        return line + rest, {HEAD: checksum(line)}


def new_id(session: str, count: int, size: int) -> str:
    """Return an id for a stored object of so many bytes; at most ``ID`` bytes long."""
    return f"{session}-{count}-{size}"


def place(piece: str) -> tuple[str, int]:
    """Return the id of the stored object that a piece is in, and its offset in that."""
    stored, _, start = piece.partition(":")
    return stored, int(start or 0)


def stored_size(stored: str) -> int:
    """Return how many bytes were stored under an id."""
    return int(stored.rpartition("-")[2])


def checksum(data: bytes) -> str:
    """Return a short SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Found:
    """What lies under a key."""

    etag: str
    size: int | None
    """Bytes of the object; None if there is none."""
    version: str
    modified: datetime
    made: str
    head: Head | None = None
    """None if the object lies there as it is."""
    stored: int = 0
    """Bytes under the key itself."""
    begin: bytes = b""
    """The first of them."""
    mark: str = ""
    """All that a plain object's metadata say of ``made``: :func:`ended` adds a nonce."""


def found(got: Got, begin: bytes) -> Found:
    """Return what lies under a key; ``begin`` are its first bytes, ``FIRST_LINE`` of them if there are as many.

    The pieces of a head are read if they are among these bytes (:func:`with_pieces`).
    """
    head = _head(got, begin)
    if head:
        return Found(got.etag, head.size, head.version, head.modified, head.made, head, got.size, begin)
    mark = got.metadata.get(MADE, "")
    version = checksum("\n".join((got.etag, mark, got.modified.isoformat(), str(got.size))).encode())
    return Found(got.etag, got.size, version, got.modified, mark.rpartition("/")[2], None, got.size, begin, mark)


def _head(got: Got, begin: bytes) -> Head | None:
    line, end, _ = begin.partition(b"\n")
    line += end
    if HEAD not in got.metadata or checksum(line) != got.metadata[HEAD]:
        return None
    said = json.loads(line)
    if got.size != len(line) + said["length"]:
        return None
    return Head(
        nonce=said["nonce"],
        size=said["size"],
        version=said["version"],
        modified=datetime.fromisoformat(said["modified"]),
        made=said["made"],
        piece=said["piece"],
        moving=Moving(*said["moving"]) if said["moving"] else None,
    )


def with_pieces(state: Found, body: bytes) -> Found | None:
    """Return the same with the pieces of its head, whose whole body this is; None if another program changed them."""
    line, _, rest = body.partition(b"\n")
    if state.head is None or checksum(rest) != json.loads(line)["rest"]:
        return None
    return replace(state, head=replace(state.head, pieces=tuple(rest.decode().split("\n")) if rest else ()))


def made(mark: str | None = None) -> Mapping[str, str]:
    """Return the metadata of an object that lies under its key as it is."""
    return {MADE: mark or nonce()}


def ended(head: Head) -> str:
    """Return a mark for a plain object that follows a head: a nonce, and what was ``made`` before the first writer."""
    return f"{nonce()}/{head.made}"

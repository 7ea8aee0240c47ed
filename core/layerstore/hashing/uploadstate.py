"""The saved hash states of an upload, from which another process can go on hashing.

The document under an upload's ``state`` key is JSON in ASCII:

    {"format": "layerstore-upload-state/1",
     "version": "<the version of the data it describes, as the driver gives it>",
     "states": [[<offset in bytes>, "<state, 108 bytes in base64>"], ...],
     "checksum": "<sha256, in hex, of the three members above as JSON without spaces, keys sorted>"}

Offsets ascend. A state has the form of :mod:`layerstore.hashing.sha256`, which includes its own offset. A document that
is missing or damaged, or of another format or another version of the data, is ignored: the bytes are read again.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from typing import Any, Final

from layerstore.hashing import sha256
from layerstore.hashing.sha256 import Hasher

FORMAT: Final = "layerstore-upload-state/1"

MAX_DOCUMENT: Final = 64 << 10
"""Longest document that is read, in bytes; one of 64 states takes about 11 KiB."""


def dump(version: str, states: list[tuple[int, bytes]]) -> bytes:
    """Write the document for data at ``version``; ``states`` are offsets and exported states, ascending."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "version": version,
        "states": [[offset, b64encode(state).decode("ascii")] for offset, state in states],
    }
    return json.dumps(body | {"checksum": _checksum(body)}).encode("ascii")


def load(document: bytes, version: str, size: int) -> list[tuple[int, Hasher]]:
    """Return the marks to go on from with data at ``version`` and of ``size`` bytes; none if there is any doubt."""
    try:
        body = json.loads(document)
        checksum = body.pop("checksum")
        if checksum != _checksum(body) or (body["format"], body["version"]) != (FORMAT, version):
            return []
        marks = [_restore(offset, b64decode(state, validate=True)) for offset, state in body["states"]]
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return []
    offsets = [offset for offset, _ in marks]
    return marks if offsets == sorted(set(offsets)) and all(0 < offset <= size for offset in offsets) else []


def _restore(offset: int, state: bytes) -> tuple[int, Hasher]:
    if type(offset) is not int or offset != int.from_bytes(state[-8:], "big"):
        raise ValueError("a state at another offset than it says")
    return offset, sha256.restore(state)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()

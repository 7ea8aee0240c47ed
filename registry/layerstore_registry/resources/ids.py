"""Ids of uploads, as this registry gives them: a random UUID whose end is a checksum of the rest and of the repository.

A PUT that comes again, for its 201 was lost, finds no upload: it is answered alike if the blob is there. By the
checksum that is not so of an id that nobody was ever given. It keeps no secret: who makes one up learns that a blob is
there that they may push.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

CHECK: Final = 8
"""Hexadecimal digits of the checksum; 74 bits of the rest are random."""


def new(name: str) -> str:
    """Return an id for an upload to a repository."""
    random = str(uuid.uuid4())[:-CHECK]
    return random + _checksum(name, random)


def was_given(name: str, text: str) -> bool:
    """Tell whether an upload to a repository was given an id, here or at another node."""
    return text[-CHECK:] == _checksum(name, text[:-CHECK])


def _checksum(name: str, random: str) -> str:
    return hashlib.sha256(f"{name}/{random}".encode("utf-8", "replace")).hexdigest()[:CHECK]

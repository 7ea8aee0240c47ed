"""Drafts: unpublished bytes, in files that are named after their keys; and the drafts that killed processes left.

A draft of another life of the store's, found when this one began, is of a writer that was opened before any of ours.
Whatever fences the key's writers (clauses F1 and F2) fences that one, so that its draft is nobody's any more: it can be
removed without a lock, which PyFilesystem2 does not have, and without knowing whether its process lives.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerstore_drivers.pyfilesystem.filesystems import Filesystem

DIRECTORY = ".layerstore"
"""Where they are, at the top of a store; no key begins with a dot (clause K2)."""

LONGEST = 200
"""Bytes of a key that the name of a draft holds. The whole name must not be longer than 255 bytes."""


class Drafts:
    """The drafts of one store. Only the thread that has the store's turn uses it."""

    def __init__(self, files: Filesystem, directory: str) -> None:
        """Begin with no drafts."""
        self._files = files
        self._directory = directory
        self._life = secrets.token_hex(8)
        self._left: dict[str, str] | None = None  # from the names of those left to their keys', once looked for

    def new(self, key: str) -> str:
        """Return a path for a draft of a key."""
        return f"{self._directory}/{_named(key)},,{self._life},{secrets.token_hex(8)}"

    def left_of(self, key: str) -> list[str]:
        """Return the paths of the drafts that earlier processes have left of a key. Each is returned once."""
        return self._taken(lambda name: name == _named(key))

    def left_below(self, prefix: str) -> list[str]:
        """Return the paths of the drafts left of a key and of keys below it, except keys of more than 200 bytes."""
        return self._taken(lambda name: f"{name},".startswith(f"{_named(prefix)},"))

    def _taken(self, wanted: Callable[[str], bool]) -> list[str]:
        if self._left is None:
            self._left = self._found()
        taken = [draft for draft, name in self._left.items() if wanted(name)]
        for draft in taken:
            del self._left[draft]
        return [f"{self._directory}/{draft}" for draft in taken]

    def _found(self) -> dict[str, str]:
        """Look for drafts that were left, only once: a later one may belong to a writer that is at work."""
        parts = {entry.name: entry.name.partition(",,") for entry in self._files.scan(self._directory)}
        return {draft: name for draft, (name, _, rest) in parts.items() if rest and not rest.startswith(self._life)}


def _named(key: str) -> str:
    """Return the form of a key in the name of a draft. No key has a comma, or two slashes in a row."""
    flat = key.replace("/", ",")
    return flat if len(flat) <= LONGEST else f",{hashlib.sha256(key.encode()).hexdigest()}"

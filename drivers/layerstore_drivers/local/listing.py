"""What lies below a prefix, in order (clauses L1 to L5)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from layerstore.keys import is_key
from layerstore_drivers.local.beneath import DIRECTORY, open_beneath
from layerstore_drivers.local.locks import closing_fd


def children(directory: int, prefix: str) -> Iterator[str]:
    """Yield the keys and prefixes directly below the prefix that ``directory`` is."""
    above = f"{prefix}/" if prefix else ""
    for text in sorted(_entries(directory, above)):
        if not text.endswith("/") or holds_object(directory, text[len(above) : -1], text[:-1]):
            yield text


def holds_object(parent: int, name: str, path: str) -> bool:
    """Tell whether an object lies in or below a directory; the first one found decides.

    One directory is open at a time, however deep: 500 levels fit into a key.
    """
    pending = [name]
    while pending:
        below = pending.pop()
        try:
            directory = open_beneath(parent, below, DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with closing_fd(directory):
            for text in _entries(directory, ""):
                if is_key(f"{path}{below[len(name) :]}/{text.rstrip('/')}"):
                    if not text.endswith("/"):
                        return True
                    pending.append(f"{below}/{text[:-1]}")
    return False


def _entries(directory: int, above: str) -> Iterator[str]:
    """Yield, in no order, the files and, with a slash, the directories whose names can be part of a key."""
    with os.scandir(directory) as entries:
        for entry in entries:
            text = above + entry.name
            if not is_key(text):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield f"{text}/"
            elif entry.is_file(follow_symlinks=False):
                yield text

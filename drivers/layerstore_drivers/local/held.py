"""Directories that stay open for as long as someone uses them."""

from __future__ import annotations

import os
from weakref import finalize


class Held:
    """An open directory, closed when the last of those who use it has let go.

    While it is open no other directory has its number: one that has the same identity is the same.
    """

    def __init__(self, fd: int) -> None:
        """Take over a descriptor."""
        self.fd = fd
        finalize(self, os.close, fd)
        self._identity = _identity(os.fstat(fd))

    def is_at(self, status: os.stat_result) -> bool:
        """Tell whether this is what was found under some path."""
        return self._identity == _identity(status)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino

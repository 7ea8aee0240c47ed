"""New files: the bytes that a writer has accepted, drafts in the private area, and how a draft is put under a key."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from layerstore.errors import BackendUnavailableError, UnsupportedOperationError
from layerstore.threads.process import this_process
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.listing import remove_directories, visit
from layerstore_drivers.local.system import copy_bytes, stamp, write_out
from layerstore_drivers.local.tree import Place, Tree, VanishedError

T = TypeVar("T")

STEP = 8 << 20
"""Longest write in place, in bytes. A process that fences the writer waits for one such write, for a moment."""

BEHIND = 4 << 20
"""Bytes that may wait in the system's memory, before it is asked to write them out."""


class Span:
    """The first ``size`` bytes of an open file."""

    def __init__(self, fd: int, size: int) -> None:
        """Take over a descriptor."""
        self.fd = fd
        self.size = size
        self._torn = False
        self._run = (size, size)  # bytes written one after the other that the system was not asked to write out

    def change(self, act: Callable[[], T]) -> T:
        """Change the file. A subclass overrides this if others use the file too."""
        return act()

    def write(self, offset: int, data: memoryview, accepted: int) -> None:
        """Write all of ``data`` behind, or over, the ``accepted`` bytes; if that fails, ``size`` stays (W2 to W5)."""
        self.mend(accepted)
        self._torn = True
        done = 0
        while done < len(data):
            done += self.change(partial(os.pwrite, self.fd, data[done : done + STEP], offset + done))
        self.size = max(self.size, offset + done)
        self._torn = False
        self._write_out(offset, offset + done)

    def _write_out(self, start: int, stop: int) -> None:
        first = self._run[0] if self._run[1] == start else start
        if stop - first >= BEHIND:
            write_out(self.fd, first, stop - first)
            first = stop
        self._run = (first, stop)

    def mend(self, accepted: int) -> None:
        """Cut off what a failed or interrupted write left beyond the accepted bytes: a later gap reads as zeros."""
        if self._torn or self.size > accepted:
            self.change(partial(os.ftruncate, self.fd, accepted))
            self.size, self._torn = accepted, False

    def stamp(self, mtime_ns: int) -> None:
        """Set the file's modification time, in nanoseconds."""
        self.change(partial(stamp, self.fd, mtime_ns))


class Draft:
    """A file in the private area, to be renamed to where its object belongs."""

    def __init__(self, area: Area) -> None:
        self._pid = this_process()
        self._directory, self._name, fd = area.new_file()
        self.span = Span(fd, 0)
        self._installed = False

    def copy(self, source: Span) -> None:
        """Take over the bytes of another span."""
        copy_bytes(source.fd, self.span.fd, source.size)
        self.span.size = source.size

    def install(self, tree: Tree, place: Place, key: str) -> None:
        """Put the file under a locked key; it then has no other name. See :func:`install`."""
        install(tree, self._directory.fd, self._name, place, key)
        self._installed = True

    def close(self) -> None:
        """Close the file, and remove it unless it was installed, or this is a forked child. Never raises."""
        os.close(self.span.fd)
        if not self._installed and self._pid == os.getpid():
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._directory.fd)


ATTEMPTS = 100
"""How often a directory may vanish after it was made and before it is used. More often is an error."""


def in_place(tree: Tree, key: str, act: Callable[[Place], T]) -> T:
    """Do something in the directory of a key. Do it again if the directory was just deleted with its prefix.

    Raises:
        UnsupportedOperationError: another key is above (clause C2).
        AccessDeniedError: a symlink or special file is in the way.
    """
    for _ in range(ATTEMPTS):
        with suppress(VanishedError), tree.place(key) as place:
            return act(place)
    raise BackendUnavailableError(key, "the file to put there, or the directory for it, is gone")


def install(tree: Tree, source: int, name: str, place: Place, key: str) -> None:
    """Rename a durable file, ``name`` in the directory ``source``, to where ``key`` belongs; not yet durably.

    Raises:
        UnsupportedOperationError: another key is below (clause C2).
        AccessDeniedError: a symlink or special file is in the way.
        VanishedError: the directory, or the file, is gone.
    """
    if not place.new:
        tree.refuse_no_object(place.fd, place.name, key)
    try:
        _rename(source, name, place, key)
    except FileNotFoundError as error:
        raise VanishedError(*error.args) from error


def _rename(source: int, name: str, place: Place, key: str) -> None:
    try:
        os.rename(name, place.name, src_dir_fd=source, dst_dir_fd=place.fd)
    except IsADirectoryError:
        # With no object in it, it is nothing (clause K3), but in the way.
        remove_directories(place.fd, [visited.path for visited in visit(place.fd, place.name)])
        try:
            os.rename(name, place.name, src_dir_fd=source, dst_dir_fd=place.fd)
        except IsADirectoryError as error:
            raise UnsupportedOperationError(key, "something is below it that is no object") from error

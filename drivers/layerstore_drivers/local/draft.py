"""Temporary files that become objects."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from layerstore.process import this_process
from layerstore_drivers.local.area import Area
from layerstore_drivers.local.install import install
from layerstore_drivers.local.span import Span
from layerstore_drivers.local.tree import Place, Tree

_FICLONE = 0x40049409
"""The ioctl that shares a file's blocks with another (Linux, ioctl_ficlonerange(2))."""

_STEP = 64 << 20
"""Bytes copied at once."""

_CANNOT = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY}


class Draft:
    """A file in the private area, to be renamed to where its object belongs."""

    def __init__(self, area: Area) -> None:
        self._pid = this_process()
        self._directory, self._name, fd = area.new_file()
        self.span = Span(fd, 0)
        self._installed = False

    def copy(self, source: Span) -> None:
        """Take over the bytes of another span; blocks are shared where the filesystem can."""
        with suppress(OSError):
            fcntl.ioctl(self.span.fd, _FICLONE, source.fd)
            os.ftruncate(self.span.fd, source.size)
            self.span.size = source.size
            return
        _copy(source.fd, self.span.fd, source.size)
        self.span.size = source.size

    def install(self, tree: Tree, place: Place, key: str) -> None:
        """Put the file under a locked key; it then has no other name. See :func:`install`."""
        install(tree, self._directory.fd, self._name, place, key)
        self._installed = True

    def close(self) -> None:
        """Close the file, and remove it unless it was installed, or this is a forked child. Never raises."""
        os.close(self.span.fd)
        if not self._installed and self._pid == this_process():
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._directory.fd)


def _copy(source: int, target: int, size: int) -> None:
    done = 0
    while done < size:
        count = _copy_some(source, target, done, min(_STEP, size - done))
        if not count:
            raise OSError(errno.EIO, "the object was cut short")
        done += count


def _copy_some(source: int, target: int, offset: int, count: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, count, offset, offset)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    return os.pwrite(target, os.pread(source, min(count, 1 << 20), offset), offset)

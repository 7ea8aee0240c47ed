"""The filesystems of stores, and every call of PyFilesystem2 that the driver makes.

Paths begin with a slash. One thread at a time uses a filesystem. This does not hold for the files that it has opened.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from contextlib import closing, contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from fs.enums import ResourceType
from fs.errors import DirectoryExpected, ResourceNotFound
from fs.memoryfs import MemoryFS
from fs.osfs import OSFS
from fs.tempfs import TempFS

from layerstore.driver import moment
from layerstore_drivers.pyfilesystem.ftp import FTP, close_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fs.base import FS
    from fs.info import Info

    from layerstore_drivers.pyfilesystem.address import Address


SMALL = 1 << 16
"""Bytes of the largest file that is sent or fetched in one call. A larger one takes a connection of its own."""


_PASSED = getattr(os, "O_PATH", os.O_RDONLY)
"""How a directory is opened that is only passed: where there is O_PATH, nobody needs to be allowed to read it."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What the system says of what is not there, or of a link that it must not follow."""


class Entry(NamedTuple):
    """The thing under a path."""

    name: str
    is_dir: bool
    is_file: bool
    """Neither a file nor a directory: a symbolic link, or something that only the operating system understands."""

    size: int
    """Bytes; 0 if it was not asked for."""

    modified: float
    """Seconds since 1970; 0 if it was not asked for, or is not known."""

    is_link: bool = False
    """Whether it is a symbolic link, on a filesystem that shows that."""

    mark: str = ""
    """What else changes if another program changes the bytes or makes the file again; empty if it is not known."""


class Filesystem:
    """A filesystem of PyFilesystem2, which is connected when it is first used."""

    remote = False
    """Whether a file can be written only from beginning to end, and may be replaced while it is open."""

    has_links = False
    """Whether it shows which names are symbolic links."""

    def __init__(self, address: Address) -> None:
        """Stay unconnected."""
        self.address = address
        self._fs: Any = None  # fs has no types

    def connect(self) -> None:
        """Be ready for the methods below.

        Raises:
            fs.errors.FSError: there is no such filesystem, or no way to it.
        """
        if self._fs is None:
            self._fs = self._open()

    def disconnect(self) -> None:
        """Give back the connection; the next ``connect`` makes a new one."""

    def find(self, path: str) -> Entry | None:
        """Return size and time of the thing under a path; None if there is none."""
        try:
            return _entry(self._fs.getinfo(path, ("details", "link")))
        except ResourceNotFound:
            return None

    def scan(self, path: str) -> list[Entry]:
        """Return the things directly in a directory, in any order. If there is no directory, there are none."""
        try:
            return [_entry(info) for info in self._fs.scandir(path, ("link",))]
        except (ResourceNotFound, DirectoryExpected):
            return []

    def put(self, path: str, data: bytes) -> None:
        """Store a small file."""
        self._fs.writebytes(path, data)

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading, unbuffered."""
        file: IO[bytes] = self._fs.openbin(path, "r", buffering=0)
        return file

    def create(self, path: str) -> IO[bytes]:
        """Make a file, unbuffered, for writing. A local file can be read, too."""
        file: IO[bytes] = self._fs.openbin(path, "w" if self.remote else "w+", buffering=0)
        return file

    def fetch(self, path: str) -> bytes:
        """Return the bytes of a small file."""
        data: bytes = self._fs.readbytes(path)
        return data

    def close(self, file: IO[bytes]) -> None:
        """Close a file. Then its bytes are stored, or an error is raised."""
        file.close()

    def rename(self, source: str, target: str) -> None:
        """Rename a file in one step, also over another file."""
        self._fs.move(source, target, overwrite=True)

    def date(self, path: str) -> None:
        """Give a file the present time; one that was sent just now has it."""
        self._fs.settimes(path)

    def make_directory(self, path: str) -> None:
        """Make a directory in an existing one. It may be there already."""
        self._fs.makedir(path, recreate=True)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._fs.remove(path)

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        self._fs.removedir(path)

    def _open(self) -> FS:
        return MemoryFS()


class Directory(Filesystem):
    """A directory of the operating system.

    ``OSFS`` reports a broken link as missing, and a FIFO as a file, unless more is asked for each entry.
    """

    has_links = True

    def find(self, path: str) -> Entry | None:
        """See :meth:`Filesystem.find`. Behind a link there is nothing."""
        above, _, name = path.rpartition("/")
        try:
            with self._directory(above, _PASSED) as directory:
                found = os.stat(name or ".", dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        is_dir, is_file, is_link = stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode), stat.S_ISLNK(found.st_mode)
        mark = f".{found.st_ino}.{found.st_ctime_ns}"  # no program can set the time of its last change as it was
        return Entry(name, is_dir, is_file, found.st_size, found.st_mtime, is_link, mark)

    def scan(self, path: str) -> list[Entry]:
        """See :meth:`Filesystem.scan`. Behind a link there is nothing."""
        try:
            with self._directory(path, os.O_RDONLY) as directory, os.scandir(directory) as found:
                return [_listed(each) for each in found]
        except OSError as error:
            if error.errno in _NOT_THERE:
                return []
            raise

    @contextmanager
    def _directory(self, path: str, flags: int) -> Iterator[int]:
        """Open a directory, by one segment after the other: only the top of the filesystem may be a link.

        Raises:
            OSError: of :data:`_NOT_THERE`: there is none, or a link is on the way.
        """
        names = [name for name in path.split("/") if name]
        top, *hows = *(_PASSED for _ in names), flags
        opened = os.open(self._fs.getsyspath("/"), top | os.O_DIRECTORY)
        try:
            for name, how in zip(names, hows, strict=True):
                parent, opened = opened, os.open(name, how | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened)
                os.close(parent)  # not twice, if interrupted: its number may be another thread's file by then
            yield opened
        finally:
            os.close(opened)

    def rename(self, source: str, target: str) -> None:
        """Rename. If the system refused, ``FS.move`` would copy over the target, byte by byte."""
        os.replace(self._fs.getsyspath(source), self._fs.getsyspath(target))

    def date(self, path: str) -> None:
        """Give a file the present time, by the clock that dates what is written."""
        os.utime(self._fs.getsyspath(path))

    def _open(self) -> FS:
        return OSFS(self.address.root, expand_vars=False)


class TemporaryDirectory(Directory):
    """A directory that is removed with the filesystem, or when the process ends."""

    def _open(self) -> FS:
        # TempFS would clean when a forked child ends, too.
        made = TempFS("layerstore", auto_clean=False)
        weakref.finalize(self, _clean, made, os.getpid())
        return made


class Server(Filesystem):
    """An FTP server."""

    remote = True

    def connect(self) -> None:
        """See :meth:`Filesystem.connect`. A connection that was lost is made again."""
        if self._fs is not None and not self._fs.is_in_step():
            self.disconnect()
        super().connect()

    def disconnect(self) -> None:
        """See :meth:`Filesystem.disconnect`."""
        if self._fs is not None:
            self._fs.close()
            self._fs = None

    def fetch(self, path: str) -> bytes:
        """Return the bytes of a small file."""
        data: bytes = self._fs.fetch(path)
        return data

    def close(self, file: IO[bytes]) -> None:
        """See :meth:`Filesystem.close`."""
        close_file(file)

    def rename(self, source: str, target: str) -> None:
        """Let the server rename."""
        self._fs.rename(source, target)

    def date(self, path: str) -> None:
        """Do nothing: it was sent just now."""

    def remove(self, path: str) -> None:
        """Let the server remove a file."""
        self._fs.erase(path)

    def remove_directory(self, path: str) -> None:
        """Let the server remove a directory."""
        self._fs.erase_directory(path)

    def _open(self) -> FS:
        at = self.address
        return FTP(at.host, at.user, at.password, timeout=at.timeout, port=at.port)


_KINDS = {"mem": Filesystem, "temp": TemporaryDirectory, "osfs": Directory, "ftp": Server}


def filesystem(address: Address) -> Filesystem:
    """Return the filesystem of an address, unconnected."""
    return _KINDS[address.kind](address)


def _entry(info: Info) -> Entry:
    details = info.raw.get("details", {})
    link = bool(info.raw.get("link", {}).get("target"))
    plain = details.get("type", ResourceType.file) == ResourceType.file
    is_file = not (link or info.is_dir) and plain
    size, modified = details.get("size", 0), details.get("modified") or 0
    return Entry(info.name, info.is_dir and not link, is_file, size, modified, link)


def _listed(each: os.DirEntry[str]) -> Entry:
    is_dir, is_file = each.is_dir(follow_symlinks=False), each.is_file(follow_symlinks=False)
    return Entry(each.name, is_dir, is_file, 0, 0, each.is_symlink())


def modified_at(entry: Entry) -> datetime:
    """Return the time at which the bytes of a file last changed."""
    return moment(int(entry.modified * 1e6) * 1000)


def _clean(made: TempFS, pid: int) -> None:
    if pid == os.getpid():
        with closing(made):
            made.clean()

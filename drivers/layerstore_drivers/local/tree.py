"""Directories below the root, walked by descriptor: no symlink is followed, whatever it points to."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layerstore.errors import AccessDeniedError, BackendUnavailableError, PathNotFoundError, UnsupportedOperationError
from layerstore_drivers.local.listing import holds_object
from layerstore_drivers.local.locks import closing_fd
from layerstore_drivers.local.walk import enter, walk

Step = Callable[[int, str], int]

REMEMBERED = 1024
"""Directories known to be durable, per driver; beyond that all are forgotten, and synced once more."""


class Tree:
    """The directory tree below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: dict[str, int] = {}

    def open_root(self, key: str) -> int:
        """Open the root and return its descriptor.

        Raises:
            BackendUnavailableError: there is none, or it is no directory (clause E2).
        """
        try:
            return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BackendUnavailableError(key, f"root {self.root}: {error.strerror}") from error

    def make_root(self) -> int:
        """Open the root, made durably if missing, and return its descriptor."""
        if str(self.root) not in self._durable:
            _make_path(self.root)
            self._durable[str(self.root)] = 0
        try:
            return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            _make_path(self.root)
            return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)

    @contextmanager
    def parent(self, key: str) -> Iterator[tuple[int, str]]:
        """Open the directory a key lies in, and yield its descriptor and the key's last segment.

        Raises:
            PathNotFoundError: a directory on the way is missing, a file or a symlink.
        """
        *above, name = key.split("/")
        root = self.open_root(key)
        try:
            fd = walk(root, above, enter)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise PathNotFoundError(key) from error
        with closing_fd(fd):
            yield fd, name

    @contextmanager
    def made_parent(self, key: str) -> Iterator[tuple[int, str]]:
        """Open the directory a key lies in, made if missing and durable either way; yield as :meth:`parent` does.

        Raises:
            UnsupportedOperationError: an object is where a directory would have to be (clause C2).
            AccessDeniedError: a symlink is, or what else is no object.
        """
        *above, name = key.split("/")
        try:
            fd = walk(self.make_root(), above, self.maker())
        except NotADirectoryError:
            self.refuse_obstacles(key)
            raise
        with closing_fd(fd):
            yield fd, name

    def refuse_obstacles(self, key: str) -> None:
        """Refuse a new key where the tree has no place for it.

        Raises:
            UnsupportedOperationError: another key is above or below this one (clause C2).
            AccessDeniedError: a symlink is in the way, or what else is neither object nor directory.
        """
        fd = self.open_root(key)
        segments = key.split("/")
        try:
            for segment in segments[:-1]:
                _refuse_no_directory(fd, segment, key)
                below = enter(fd, segment)
                os.close(fd)
                fd = below
            self.refuse_no_object(fd, segments[-1], key)
        except FileNotFoundError:
            return
        finally:
            os.close(fd)

    def refuse_no_object(self, parent: int, name: str, key: str) -> None:
        """Refuse to replace what is no object; an empty directory is nothing (clause K3).

        Raises:
            UnsupportedOperationError: it is a directory with a key below (clause C2).
            AccessDeniedError: it is a symlink, or what else is neither object nor directory.
        """
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            if holds_object(parent, name, key):
                raise UnsupportedOperationError(key, "other keys are below it")
        elif not stat.S_ISREG(mode):
            raise AccessDeniedError(key, "a symlink or special file is in the way")

    def forget(self, path: str) -> None:
        """Forget that a directory and those below it are durable: they are about to be removed."""
        for known in list(self._durable):
            if f"{known}/".startswith(f"{path}/"):
                self._durable.pop(known, None)

    def sync_parent(self, key: str) -> None:
        """Make a key's name durable, or its absence, and the names of the directories above it."""
        *above, _ = key.split("/")
        step = self._with_path(self._enter)
        with suppress(FileNotFoundError, NotADirectoryError), closing_fd(walk(self.open_root(key), above, step)) as fd:
            os.fsync(fd)

    def sync_lowest(self, key: str) -> None:
        """Make durable that a directory on the way to a key is missing."""
        fd = self.open_root(key)
        try:
            for segment in key.split("/")[:-1]:
                below = enter(fd, segment)
                os.close(fd)
                fd = below
        except (FileNotFoundError, NotADirectoryError):
            os.fsync(fd)
        finally:
            os.close(fd)

    def maker(self) -> Step:
        """Return a step for a walk from the root that makes what is missing, and syncs what may not be durable."""
        return self._with_path(self._make)

    def _with_path(self, step: Callable[[int, str, str], int]) -> Step:
        """Tell each step of a walk from the root its path."""
        path = ""

        def with_path(parent: int, name: str) -> int:
            nonlocal path
            path = f"{path}/{name}" if path else name
            return step(parent, name, path)

        return with_path

    def _enter(self, parent: int, name: str, path: str) -> int:
        fd = enter(parent, name)
        try:
            self._settle(parent, fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _make(self, parent: int, name: str, path: str) -> int:
        with suppress(FileNotFoundError):
            return self._enter(parent, name, path)
        self._durable.pop(path, None)
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        return self._enter(parent, name, path)

    def _settle(self, parent: int, fd: int, path: str) -> None:
        """Make a directory's name durable: who made it may have died, or may not have come to it yet."""
        inode = os.fstat(fd).st_ino
        if self._durable.get(path) == inode:
            return
        os.fsync(parent)
        if len(self._durable) >= REMEMBERED:
            self._durable.clear()
        self._durable[path] = inode


def _refuse_no_directory(parent: int, name: str, key: str) -> None:
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if stat.S_ISREG(mode):
        raise UnsupportedOperationError(key, f"{name!r} above it is an object")
    if not stat.S_ISDIR(mode):
        raise AccessDeniedError(key, "a symlink or special file is in the way")


def _make_path(path: Path) -> None:
    """Make a directory and those above it, each durably; the names above the root are the caller's, symlinks too."""
    missing: list[Path] = []
    for ancestor in (path, *path.parents):
        if ancestor.exists():
            break
        missing.append(ancestor)
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        with closing_fd(os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY)) as fd:
            os.fsync(fd)

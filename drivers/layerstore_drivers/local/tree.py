"""Directories below the root, walked by descriptor: no symlink is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from layerstore.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    FencedError,
    PathNotFoundError,
    UnsupportedOperationError,
)
from layerstore_drivers.local.listing import holds_object
from layerstore_drivers.local.system import (
    DIRECTORY,
    HeldDirectory,
    Lasting,
    closing_fd,
    enter,
    lasting_identity,
    open_beneath,
    sync_directory,
)


class Place(NamedTuple):
    """Where a key belongs."""

    fd: int
    """The directory, open and durable."""

    name: str
    """The key's name in it."""

    new: bool
    """Whether the directory was made just now, and so is empty."""


class VanishedError(FileNotFoundError):
    """A directory was deleted with its prefix, just after it was made."""


class Tree:
    """The directory tree below one root, which is kept open: it stays the same, whatever is under its path later."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = str(root)
        self._held: HeldDirectory | None = None
        self._durable = Remembered()

    def is_current(self) -> bool:
        """Return whether the root's path leads to it, or it was not opened yet."""
        held = self._held
        with suppress(FileNotFoundError, NotADirectoryError):
            return held is None or held.is_at(os.stat(self._path))
        return False

    def check_current(self, key: str) -> None:
        """Check that the root's path leads to it.

        Raises:
            BackendUnavailableError: the path leads nowhere by now (clause E2).
            FencedError: it leads to another directory (clause X2).
        """
        if not self.is_current():
            Tree(self.root).open_root(key)
            raise FencedError(key, f"another directory is in the place of root {self.root}")

    def open_root(self, key: str) -> HeldDirectory:
        """Return the root, open.

        Raises:
            BackendUnavailableError: there is none, or it is no directory (clause E2).
        """
        held = self._held
        if held is None:
            try:
                held = self._held = HeldDirectory(os.open(self.root, os.O_RDONLY | os.O_DIRECTORY))
            except (FileNotFoundError, NotADirectoryError) as error:
                raise BackendUnavailableError(key, f"root {self.root}: {error.strerror}") from error
        return held

    def make_root(self) -> HeldDirectory:
        """Return the root, open, and made durably if missing."""
        try:
            return self.open_root("")
        except BackendUnavailableError:
            _make_path(self.root)
            return self.open_root("")

    def open(self, path: str, flags: int, key: str) -> int:
        """Open what is under a path below the root; see :func:`open_beneath`."""
        root = self.open_root(key)  # stays open until the call is done, though another thread may let go of it
        return open_beneath(root.fd, path, flags)

    def enter(self, path: str, key: str) -> int:
        """Open a directory below the root, or the root, by the path ``""``. The caller must close it."""
        if path:
            return self.open(path, DIRECTORY, key)
        root = self.open_root(key)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=root.fd)

    def make(self, path: str) -> int:
        """Open a directory below the root, made if missing and durable either way. The caller must close it."""
        missing = False
        try:
            fd = self.enter(path, "")
        except FileNotFoundError:
            missing = True
        else:
            if self._is_durable(path, fd):
                return fd
            os.close(fd)
        above, _, name = path.rpartition("/")
        with closing_fd(self.make(above)) as parent:
            if missing:
                self._make_missing(parent, name, path)
            return self._enter(parent, name, path)

    def settle(self, path: str) -> int:
        """Open a directory below the root, and make its name and those above durable. The caller must close it."""
        with suppress(FileNotFoundError):  # the directories above it are made durable all the same
            fd = self.enter(path, "")
            if self._is_durable(path, fd):
                return fd
            os.close(fd)
        above, _, name = path.rpartition("/")
        with closing_fd(self.settle(above)) as parent:
            return self._enter(parent, name, path)

    @contextmanager
    def parent(self, key: str) -> Iterator[tuple[int, str]]:
        """Open the directory a key lies in, and yield its descriptor and the key's last segment.

        Raises:
            PathNotFoundError: a directory on the way is missing, a file or a symlink.
        """
        above, _, name = key.rpartition("/")
        try:
            fd = self.enter(above, key)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise PathNotFoundError(key) from error
        with closing_fd(fd):
            yield fd, name

    @contextmanager
    def place(self, key: str) -> Iterator[Place]:
        """Open the directory that a key belongs into, made if missing and durable either way.

        Raises:
            UnsupportedOperationError: an object is where a directory would have to be (clause C2).
            AccessDeniedError: a symlink or special file is.
            VanishedError: a directory above it was deleted meanwhile.
        """
        above, _, name = key.rpartition("/")
        try:
            fd, new = self._make_place(above)
        except NotADirectoryError:
            self.refuse_obstacles(key)
            raise
        except FileNotFoundError as error:
            raise VanishedError(*error.args) from error
        with closing_fd(fd):
            yield Place(fd, name, new)

    def _make_place(self, path: str) -> tuple[int, bool]:
        """Open a directory as :meth:`make` does. Return its descriptor, and whether it is new.

        A directory that is not known is likely to be missing: most keys bring their own. It is made without a look.
        """
        if not path or self._durable.has(path):
            return self.make(path), False
        above, _, name = path.rpartition("/")
        with closing_fd(self.make(above)) as parent:
            new = self._make_missing(parent, name, path)
            return self._enter(parent, name, path), new

    def refuse_obstacles(self, key: str) -> None:
        """Refuse a new key if the tree has no place for it.

        Raises:
            UnsupportedOperationError: another key is above or below this one (clause C2).
            AccessDeniedError: a symlink or special file is in the way.
        """
        above, _, name = key.rpartition("/")
        try:
            fd = self.enter(above, key)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            self.refuse_foreign(key)
            path, found = self._no_directory(key)
            if found and path != key:
                raise UnsupportedOperationError(key, f"{path!r} above it is an object") from None
            return
        with closing_fd(fd):
            self.refuse_no_object(fd, name, key)

    def refuse_no_object(self, parent: int, name: str, key: str) -> None:
        """Refuse to replace anything but an object. An empty directory may be replaced (clause K3).

        Raises:
            UnsupportedOperationError: it is a directory with a key below (clause C2).
            AccessDeniedError: it is a symlink or special file.
        """
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            if holds_object(parent, name, key):
                raise UnsupportedOperationError(key, "other keys are below it")
        elif not stat.S_ISREG(mode):
            raise AccessDeniedError(key, f"{_kind(mode)} is in the way: {key}")

    def refuse_foreign(self, key: str) -> None:
        """Refuse a key if a symlink or special file is on the way to it or in its place.

        Raises:
            AccessDeniedError: it is.
        """
        path, mode = self._no_directory(key)
        if mode and not stat.S_ISREG(mode):
            raise AccessDeniedError(key, f"{_kind(mode)} is in the way: {path}")

    def forget(self, path: str) -> None:
        """Forget that a directory and those below it are durable: they are about to be removed."""
        self._durable.forget(path)

    def sync_parent(self, key: str) -> None:
        """Make a key's name, or its removal, durable, and the names of the directories above it."""
        above = key.rpartition("/")[0]
        with suppress(FileNotFoundError, NotADirectoryError), closing_fd(self.settle(above)) as fd:
            sync_directory(fd)

    def sync_lowest(self, key: str) -> None:
        """Make durable that a directory on the way to a key is missing."""
        fd = self.enter("", key)
        try:
            for segment in key.split("/")[:-1]:
                above, fd = fd, enter(fd, segment)
                os.close(above)
        except (FileNotFoundError, NotADirectoryError):
            sync_directory(fd)
        finally:
            os.close(fd)

    def _no_directory(self, key: str) -> tuple[str, int]:
        """Return path and mode of the first thing on the way to a key, or in its place, that is no directory; or 0."""
        fd, path = self.enter("", key), ""
        try:
            for segment in key.split("/"):
                path = f"{path}/{segment}".lstrip("/")
                mode = os.stat(segment, dir_fd=fd, follow_symlinks=False).st_mode
                if not stat.S_ISDIR(mode):
                    return path, mode
                above, fd = fd, enter(fd, segment)
                os.close(above)
        except (FileNotFoundError, NotADirectoryError):
            pass  # changed meanwhile
        finally:
            os.close(fd)
        return path, 0

    def _make_missing(self, parent: int, name: str, path: str) -> bool:
        """Make a directory. Return whether it was missing."""
        self._durable.forget(path)
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            return False
        return True

    def _enter(self, parent: int, name: str, path: str) -> int:
        """Open a directory, and make its name durable: the process that made it may have died before it did so."""
        fd = enter(parent, name)
        try:
            identity = lasting_identity(fd)
            if not self._durable.knows(path, identity):
                sync_directory(parent)
                self._durable.remember(path, identity)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _is_durable(self, path: str, fd: int) -> bool:
        """Return whether the name of an open directory is known to be durable; the names above it are too, then.

        The root's name is made durable when the root is made. If this raises, the directory is closed.
        """
        try:
            return not path or self._durable.knows(path, lasting_identity(fd))
        except BaseException:
            os.close(fd)
            raise


def _kind(mode: int) -> str:
    return "a symlink" if stat.S_ISLNK(mode) else "a special file"


def _make_path(path: Path) -> None:
    """Make a directory and those above it, each durably. The path may lead through symlinks above the root."""
    missing: list[Path] = []
    for ancestor in (path, *path.parents):
        if ancestor.exists():
            break
        missing.append(ancestor)
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        with closing_fd(os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY)) as fd:
            sync_directory(fd)


REMEMBERED = 1024
"""Directories remembered. When there are more, all are forgotten, and synced once more."""


class _Node:
    __slots__ = ("below", "identity")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.identity: Lasting | None = None


class Remembered:
    """Paths of directories, each with its identity. Threads share it."""

    def __init__(self) -> None:
        self._top = _Node()
        self._count = 0

    def has(self, path: str) -> bool:
        """Return whether a directory was remembered under this path; there may be another by now, or none."""
        return self._identity(path) is not None

    def knows(self, path: str, identity: Lasting | None) -> bool:
        """Return whether this directory was remembered under this path."""
        return identity is not None and self._identity(path) == identity

    def _identity(self, path: str) -> Lasting | None:
        node: _Node | None = self._top
        for segment in path.split("/"):
            node = node.below.get(segment) if node else None
        return node.identity if node else None

    def remember(self, path: str, identity: Lasting | None) -> None:
        """Remember a directory. One without an identity is not remembered: it would be taken for one made later."""
        if identity is None:
            return
        if self._count >= REMEMBERED:
            self._top, self._count = _Node(), 0
        node = self._top
        for segment in path.split("/"):
            node = node.below.setdefault(segment, _Node())
        self._count += node.identity is None
        node.identity = identity

    def forget(self, path: str) -> None:
        """Forget a directory and all below it."""
        *above, name = path.split("/")
        node: _Node | None = self._top
        for segment in above:
            node = node.below.get(segment) if node else None
        gone = node.below.pop(name, None) if node else None
        if gone is not None:
            self._count -= _size(gone)


def _size(node: _Node) -> int:
    return (node.identity is not None) + sum(map(_size, list(node.below.values())))  # another thread may add one

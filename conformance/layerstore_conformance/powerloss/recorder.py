"""A recorder of the calls by which a driver changes files: the state of each file after each call, and its syncs.

It is for drivers that keep files and call the functions of ``os`` with directory descriptors. :mod:`.losses` makes of a
recording the trees that a disk may show after a loss of power.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import patch

from layerstore_conformance.powerloss.recording import Data, Node, Recording

if TYPE_CHECKING:
    from pathlib import Path


class Killed(BaseException):
    """The recorded process is dead."""


class Recorder(Recording):
    """Records the calls that change what is below a directory, which is empty at first.

    With ``reuse``, a new file gets the lowest inode number that is free, as on ext4; else one that none had before.
    """

    def __init__(self, top: Path, probe: Callable[[], Any], *, reuse: bool) -> None:
        """Call ``probe`` before each call: it returns the progress of the work."""
        super().__init__()
        self.top = top
        self.probe = probe
        self.reuse = reuse
        self.dies_at: int | None = None
        """The number of calls after which the process is killed. While dead, it changes nothing."""
        self.dead = False
        self._fds: dict[int, Node] = {}
        watched = [name.removeprefix("on_") for name in vars(Recorder) if name.startswith("on_")]
        self._real = {name: getattr(os, name) for name in watched}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the calls of the block. Nothing is really synced, which would only take time."""
        calls: dict[str, Any] = {name: getattr(self, f"on_{name}") for name in self._real}
        calls |= dict.fromkeys(("link", "replace", "truncate", "symlink", "pwritev", "posix_fallocate"), _unknown)
        with patch.multiple(os, **calls), patch.object(fcntl, "ioctl", _unknown):
            yield
        self.moments.append(self.probe())

    def opened(self, fd: int, path: str, dir_fd: int) -> None:
        """Note a descriptor of an existing file that the driver has opened in another way than by ``os.open``."""
        node = self._fds[dir_fd]
        for name in path.split("/"):
            node = node.now[name]
        self._fds[fd] = node

    def on_open(self, path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Open, and perhaps make, a file."""
        parent, name = self._fds.get(-1 if dir_fd is None else dir_fd), str(path)
        new = parent is not None and bool(flags & os.O_CREAT) and name not in parent.now
        if new:
            self._begin()
        fd: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if parent and new:
            self.name(parent, name, self._node(self._data(fd)))
        if parent:
            self._fds[fd] = parent if name == "." else parent.now[name]
        elif path == self.top:
            self._fds[fd] = self.root
        return fd

    def on_close(self, fd: int) -> None:
        """Close a descriptor."""
        self._fds.pop(fd, None)
        self._real["close"](fd)

    def on_dup(self, fd: int) -> int:
        """Duplicate a descriptor."""
        copied: int = self._real["dup"](fd)
        if fd in self._fds:
            self._fds[copied] = self._fds[fd]
        return copied

    def on_fstat(self, fd: int) -> os.stat_result:
        """Return the status of a file, with its number in this recording."""
        status: os.stat_result = self._real["fstat"](fd)
        if self._fds.get(fd, self.root) is self.root:  # by its own number it is known under its path
            return status
        times = {name: getattr(status, name) for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")}
        return os.stat_result([status.st_mode, self._fds[fd].number, *status[2:10]], times)

    def on_mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int) -> None:
        """Make a directory."""
        self._begin()
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        self.name(self._fds[dir_fd], path, self._node({}))

    def on_unlink(self, path: str, *, dir_fd: int) -> None:
        """Remove the name of a file."""
        if dir_fd not in self._fds:  # an object collected just now, whose file was opened before
            self._real["unlink"](path, dir_fd=dir_fd)
            return
        self._begin()
        self._real["unlink"](path, dir_fd=dir_fd)
        self.unname(self._fds[dir_fd], path)

    def on_rmdir(self, path: str, *, dir_fd: int) -> None:
        """Remove a directory."""
        self._begin()
        self._real["rmdir"](path, dir_fd=dir_fd)
        self.unname(self._fds[dir_fd], path)

    def on_rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        """Rename a file from one directory to another."""
        self._begin()
        self._real["rename"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        above, below = self._fds[src_dir_fd], self._fds[dst_dir_fd]
        assert above is not below, "not recorded: a rename inside a directory"
        self.name(below, target, above.now[source])
        self.unname(above, source)
        self._renamed(below.now[target], os.stat(target, dir_fd=dst_dir_fd))
        self.renames.append((self.time, above, below))

    def on_pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write."""
        done: int = self._change("pwrite", fd, fd, data, offset)
        return done

    def on_copy_file_range(self, source: int, target: int, count: int, *offsets: int) -> int:
        """Copy."""
        done: int = self._change("copy_file_range", target, source, target, count, *offsets)
        return done

    def on_ftruncate(self, fd: int, size: int) -> None:
        """Cut off, or extend."""
        self._change("ftruncate", fd, fd, size)

    def on_utime(self, fd: int, *, ns: tuple[int, int]) -> None:
        """Set the times."""
        self._change("utime", fd, fd, ns=ns)

    def on_fsync(self, fd: int) -> None:
        """Note that the present state of a file is durable."""
        self._begin()
        if fd in self._fds:
            self._fds[fd].syncs.append(self.time)

    on_fdatasync = on_fsync

    def _begin(self) -> None:
        if self.dead:
            raise OSError(errno.EIO, "the process is dead")
        if self.time == self.dies_at:
            self.dead = True
            raise Killed
        self.moments.append(self.probe())
        self.time += 1

    def _node(self, value: Any) -> Node:  # noqa: ANN401  (as Node)
        taken = {node.number for node in (self._in_use() if self.reuse else self.nodes)}
        number = next(number for number in range(1, len(taken) + 2) if number not in taken)
        self.nodes.append(Node(number, self.time, value))
        return self.nodes[-1]

    def _in_use(self) -> Iterator[Node]:
        yield from self._fds.values()
        for node in self.nodes:
            if node.is_directory:
                yield from node.now.values()
        yield self.root

    def _renamed(self, node: Node, status: os.stat_result) -> None:
        if not node.is_directory:
            node.versions.append((self.time, node.now._replace(ctime_ns=status.st_ctime_ns)))

    def _data(self, fd: int) -> Data:
        status = self._real["fstat"](fd)
        return Data(os.pread(fd, status.st_size, 0), status.st_mtime_ns, status.st_ctime_ns)

    def _change(self, call: str, changed: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (of any call)
        self._begin()
        result = self._real[call](*args, **kwargs)
        if changed in self._fds:
            self._fds[changed].versions.append((self.time, self._data(changed)))
        return result


def _unknown(*_: object, **__: object) -> NoReturn:
    """Refuse a call that is not recorded, like a file system that does not support it."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

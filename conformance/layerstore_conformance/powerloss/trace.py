"""A recording of how files were changed, made of the system calls of another process.

It serves any driver that keeps files, in whatever language: one that keeps them by SQLite, say. Bytes that are written
through a shared mapping are not seen, and so count as never written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from layerstore_conformance.powerloss.recording import Data, Node, Recording
from layerstore_conformance.powerloss.strace import Call, UntracedError, calls, in_hex

UNSYNCED: set[str] = set()
"""Of which kinds of file, ``file`` and ``directory``, a sync does nothing; for planted defects."""

_OF_ONE_FILE: Final = frozenset(("fstat", "newfstatat", "lseek", "ioctl"))
"""Calls about a file that the arguments name; most are about Python's own."""

_STATUS: Final = re.compile(
    r"st_ino=(\d+), .*?st_mtime=(\d+).*?st_mtime_nsec=(\d+), st_ctime=(\d+).*?st_ctime_nsec=(\d+)"
)
_TIMES: Final = re.compile(r"tv_sec=(\d+), tv_nsec=(\d+)\}")


@dataclass
class Opened:
    """An open file, of one descriptor or several."""

    node: Node
    appends: bool
    at: int = 0


class Trace(Recording):
    """A recording of system calls. ``marks`` is the file to which the process writes the number of its progress."""

    def __init__(self, top: Path, marks: Path) -> None:
        """Record what is changed below a directory, which is empty at first."""
        super().__init__()
        self._top = f"{top}/"
        self._hex_of_top = in_hex(str(top))
        self._marks = str(marks)
        self._progress = -1
        self.steps: list[tuple[int, int]] = []
        """After how many calls each progress was made; between two calls there may be several."""
        self._opened: dict[int, Opened] = {}
        self._ns = 0
        self._directory = "/"
        """The working directory."""

    def read(self, notes: Path) -> None:
        """Record what ``strace.run`` has written down.

        Raises:
            UntracedError: a call is not understood.
        """
        with notes.open(encoding="ascii") as lines:
            for call in calls(lines):
                self._take(call)
        self.moments.append(self._progress)

    def _take(self, call: Call) -> None:
        if call.name in _OF_ONE_FILE and self._hex_of_top not in call.args:
            return
        self._ns = call.ns
        if "AT_FDCWD" in call.args:
            self._directory = call.working_directory()
        taken: Callable[[Call], None] | None = getattr(self, f"_on_{call.name}", None)
        if taken:
            taken(call)

    def _begin(self) -> None:
        self.moments.append(self._progress)
        self.time += 1

    # what is opened

    def _on_openat(self, call: Call) -> None:
        self._opened.pop(call.result, None)
        if not f"{call.path}/".startswith(self._top):
            return
        if "O_TMPFILE" in call.args:
            raise UntracedError("a file without a name")
        node = self._node(call.path)
        if node is None:
            self._begin()
            node = self._made(call.path, Data(b"", self._ns, self._ns))
        elif "O_TRUNC" in call.args and node.now.content:
            self._change(node, b"")
        self._opened[call.result] = Opened(node, "O_APPEND" in call.args)

    _on_open = _on_openat2 = _on_creat = _on_openat

    def _on_close(self, call: Call) -> None:
        self._opened.pop(call.descriptor(), None)

    def _on_dup(self, call: Call) -> None:
        self._opened.pop(call.result, None)
        with suppress(KeyError):
            self._opened[call.result] = self._opened[call.descriptor()]

    _on_dup2 = _on_dup3 = _on_dup

    def _on_fcntl(self, call: Call) -> None:
        if "F_DUPFD" in call.args:
            self._on_dup(call)

    def _on_lseek(self, call: Call) -> None:
        if found := self._file(call):
            found.at = call.result

    def _on_chdir(self, call: Call) -> None:
        (self._directory,) = call.paths(self._directory)

    def _on_fchdir(self, call: Call) -> None:
        self._directory = call.directory()

    # what is named

    def _on_mkdir(self, call: Call) -> None:
        path = call.paths(self._directory)[0]
        if path.startswith(self._top):
            self._begin()
            self._made(path, {})

    _on_mkdirat = _on_mkdir

    def _on_unlink(self, call: Call) -> None:
        path = call.paths(self._directory)[0]
        if path.startswith(self._top):
            self._begin()
            parent, name = self._place(path)
            self.unname(parent, name)

    _on_unlinkat = _on_rmdir = _on_unlink

    def _on_rename(self, call: Call) -> None:
        source, target = call.paths(self._directory)
        if not source.startswith(self._top) and not target.startswith(self._top):
            return
        if "RENAME_EXCHANGE" in call.args:
            raise UntracedError("names that are exchanged")
        self._begin()
        (above, old), (below, new) = self._place(source), self._place(target)
        node = above.now[old]
        if above is below:
            left = {name: each for name, each in above.now.items() if name != old}
            above.versions.append((self.time, {**left, new: node}))
        else:
            self.name(below, new, node)
            self.unname(above, old)
            self.renames.append((self.time, above, below))
        if not node.is_directory:
            node.versions.append((self.time, node.now._replace(ctime_ns=self._ns)))

    _on_renameat = _on_renameat2 = _on_rename

    def _on_link(self, call: Call) -> None:
        source, target = call.paths(self._directory)
        if not target.startswith(self._top):
            return
        node = self._node(source)
        if node is None:
            raise UntracedError(f"a link to {source}")
        self._begin()
        parent, name = self._place(target)
        self.name(parent, name, node)

    _on_linkat = _on_link

    # what is written

    def _on_write(self, call: Call) -> None:
        if self._is_mark(call):
            progress = int(call.data())
            if progress != self._progress:
                self.steps.append((self.time, progress))
            self._progress = progress
        elif found := self._file(call):
            at = len(found.node.now.content) if found.appends else found.at
            self._written(found.node, at, call.data())
            found.at = at + call.result

    _on_writev = _on_write

    def _is_mark(self, call: Call) -> bool:
        return call.directory() == self._marks

    def _on_pwrite64(self, call: Call) -> None:
        if found := self._file(call):
            self._written(found.node, call.numbers()[-1], call.data())

    def _on_pwritev(self, call: Call) -> None:
        if found := self._file(call):
            self._written(found.node, call.numbers()[1], call.data())

    _on_pwritev2 = _on_pwritev

    def _on_copy_file_range(self, call: Call) -> None:
        source, target = (self._opened.get(number) for number in call.descriptors())
        offsets = [int(each) if each.isdigit() else None for each in re.findall(r"(NULL|(?<=\[)\d+)", call.args)]
        if target is not None:
            self._copied(source, offsets[0], target, offsets[1], call.result)

    def _on_sendfile(self, call: Call) -> None:
        target, source = (self._opened.get(number) for number in call.descriptors())
        offset = re.search(r"\[(\d+)", call.args)
        if target is not None:
            self._copied(source, int(offset[1]) if offset else None, target, None, call.result)

    def _copied(self, source: Opened | None, start: int | None, target: Opened, at: int | None, count: int) -> None:
        if source is None:
            raise UntracedError("a copy of another file")
        begin = source.at if start is None else start
        self._written(target.node, target.at if at is None else at, source.node.now.content[begin : begin + count])
        source.at += count if start is None else 0
        target.at += count if at is None else 0

    def _on_ftruncate(self, call: Call) -> None:
        if found := self._file(call):
            self._cut(found.node, call.numbers()[-1])

    def _on_truncate(self, call: Call) -> None:
        node = self._node(call.paths(self._directory)[0])
        if node is not None:
            self._cut(node, call.numbers()[-1])

    def _on_fallocate(self, call: Call) -> None:
        found = self._file(call)
        how = re.findall(r"FALLOC_FL_(\w+)", call.args)
        if found is None or how == ["KEEP_SIZE"]:
            return
        if how:
            raise UntracedError("bytes that are zeroed or moved")
        *_, offset, count = call.numbers()
        self._cut(found.node, max(offset + count, len(found.node.now.content)))

    def _on_ioctl(self, call: Call) -> None:
        if self._file(call) and "FICLONE" in call.args:
            raise UntracedError("files that share their bytes")

    def _on_utimensat(self, call: Call) -> None:
        found = self._file(call)
        times = _TIMES.findall(call.args)
        node = found.node if found and "NULL" in call.args else self._named(call)
        if node is not None and not node.is_directory and times:
            self._begin()
            ns = int(times[-1][0]) * 10**9 + int(times[-1][1])
            node.versions.append((self.time, node.now._replace(mtime_ns=ns, ctime_ns=self._ns)))

    # what is made durable

    def _on_fsync(self, call: Call) -> None:
        if found := self._file(call):
            self._begin()
            if call.result < 0 and not found.node.is_directory:
                found.node.fail(self.time)
            else:  # of a directory some libraries, such as SQLite, do not ask whether it was synced
                self._sync(found.node)

    _on_fdatasync = _on_fsync

    def _on_sync(self, call: Call) -> None:
        del call
        self._begin()
        for node in self.nodes:
            self._sync(node)

    _on_syncfs = _on_sync

    def _sync(self, node: Node) -> None:
        if ("directory" if node.is_directory else "file") in UNSYNCED:
            return
        node.syncs.append(self.time)
        if node.lost:  # the process goes on to see what the disk does not have
            seen = node.now
            node.versions.append((self.time, seen._replace(content=node.on_disk(seen.content))))
            self._begin()
            node.versions.append((self.time, seen))

    # what the process has seen

    def _on_fstat(self, call: Call) -> None:
        """Note the attributes of a file as the process has seen them: it may have written them down."""
        match, found = _STATUS.search(call.args), self._file(call)
        node = self._named(call) if any(call.texts()) else found.node if found else None
        if match is None or node is None or node.is_directory:
            return
        inode, mtime, mtime_ns, ctime, ctime_ns = map(int, match.groups())
        node.number = inode
        time, data = node.versions[-1]
        seen = data._replace(mtime_ns=mtime * 10**9 + mtime_ns, ctime_ns=ctime * 10**9 + ctime_ns)
        node.versions[-1] = (time, seen)

    _on_newfstatat = _on_fstat

    # the tree

    def _file(self, call: Call) -> Opened | None:
        return self._opened.get(call.descriptor())

    def _named(self, call: Call) -> Node | None:
        paths = call.paths(self._directory)
        return self._node(paths[0]) if paths else None

    def _node(self, path: str) -> Node | None:
        node: Node | None = self.root
        if not f"{path}/".startswith(self._top):
            return None
        for name in filter(None, path[len(self._top) :].split("/")):
            node = node.now.get(name) if node is not None and node.is_directory else None
        return node

    def _place(self, path: str) -> tuple[Node, str]:
        above, _, name = path.rpartition("/")
        parent = self._node(above)
        if parent is None:
            raise UntracedError(f"{path} is not in a known directory")
        return parent, name

    def _made(self, path: str, value: Any) -> Node:  # noqa: ANN401  (as Node)
        parent, name = self._place(path)
        node = Node(-len(self.nodes), self.time, value)
        self.nodes.append(node)
        self.name(parent, name, node)
        return node

    def _written(self, node: Node, at: int, data: bytes) -> None:
        node.write_again(at, len(data))
        old: bytes = node.now.content
        self._change(node, old[:at].ljust(at, b"\0") + data + old[at + len(data) :])

    def _cut(self, node: Node, size: int) -> None:
        self._change(node, node.now.content[:size].ljust(size, b"\0"))

    def _change(self, node: Node, content: bytes) -> None:
        self._begin()
        node.versions.append((self.time, Data(content, self._ns, self._ns)))

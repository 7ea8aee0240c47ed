"""The private area, ``.layerstore`` below the root: temporary files, records, locks, and who is alive."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256

from layerstore_drivers.local import record
from layerstore_drivers.local.locks import Lock, closing_fd
from layerstore_drivers.local.session import Session
from layerstore_drivers.local.span import Span
from layerstore_drivers.local.tree import Tree
from layerstore_drivers.local.walk import walk

AREA = ".layerstore"
TEMPORARY, RECORDS, LOCKS, SESSIONS = "tmp", "writers", "locks", "sessions"

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


_STRIPES = 64
"""Locks per store. Keys that share one wait for each other's critical sections, a few milliseconds each."""


def record_name(key: str) -> str:
    """Return the name of the record of a key."""
    return sha256(key.encode("ascii")).hexdigest()


def lock_name(name: str) -> str:
    """Return the name of the lock of a record's key."""
    return f"{int(name[:4], 16) % _STRIPES:02d}"


class Area:
    """The private area of one root, as one driver instance uses it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._sessions: dict[int, Session] = {}

    @property
    def session(self) -> str:
        """The name of the instance's session, begun when first needed; it ends when the area is collected."""
        pid = os.getpid()  # a forked child has its own: it may outlive its parent
        if pid not in self._sessions:
            # Two threads may both begin one; the one that is not kept ends at once, and neither waits.
            self._sessions.setdefault(pid, Session(self.make(SESSIONS)))
        return self._sessions[pid].name

    def find(self, part: str, key: str) -> int | None:
        """Open a directory of the area; None if there is none. The descriptor is the caller's to close."""
        try:
            return walk(self._tree.open_root(key), (AREA, part))
        except FileNotFoundError:
            return None

    def make(self, part: str) -> int:
        """Open a directory of the area, made if missing. The descriptor is the caller's to close."""
        return walk(self._tree.make_root(), (AREA, part), self._tree.maker())

    @contextmanager
    def locked(self, *keys: str) -> Iterator[None]:
        """Lock keys against every other operation on them, in all processes, for a few system calls."""
        with self.locked_names({lock_name(record_name(key)) for key in keys}):
            yield

    @contextmanager
    def locked_names(self, names: set[str]) -> Iterator[None]:
        """Take locks by name, always in the same order."""
        with ExitStack() as stack:
            directory = stack.enter_context(closing_fd(self.make(LOCKS)))
            for name in sorted(names):
                fd = stack.enter_context(closing_fd(_open_lock(directory, name)))
                stack.enter_context(Lock(fd))
            yield

    def new_file(self) -> tuple[str, int]:
        """Make a temporary file; return its name and descriptor, both the caller's to remove and to close."""
        name = f"{self.session}.{uuid.uuid4().hex}"
        with closing_fd(self.make(TEMPORARY)) as directory:
            return name, os.open(name, _NEW, 0o666, dir_fd=directory)

    def remove_file(self, name: str) -> None:
        """Remove a temporary file if it is still there."""
        directory = self.find(TEMPORARY, "")
        if directory is not None:
            with suppress(FileNotFoundError), closing_fd(directory):
                os.unlink(name, dir_fd=directory)

    def open_record(self, key: str) -> int | None:
        """Open the record of a key for reading and writing; None if there is none."""
        directory = self.find(RECORDS, key)
        if directory is None:
            return None
        with closing_fd(directory), suppress(FileNotFoundError):
            return os.open(record_name(key), os.O_RDWR | os.O_NOFOLLOW, dir_fd=directory)
        return None

    @contextmanager
    def record_reader(self, key: str) -> Iterator[Callable[[], record.State | None]]:
        """Yield a function that reads the state in the record of a key: None if there is none, or it is damaged."""
        found: list[int] = []
        with ExitStack() as stack:

            def read() -> record.State | None:
                if not found:
                    # Looked for until it is there: the first writer of all may come at any time.
                    if (directory := self.find(RECORDS, key)) is None:
                        return None
                    found.append(stack.enter_context(closing_fd(directory)))
                return _read_state(found[0], record_name(key))

            yield read

    def write_record(self, key: str, state: record.State) -> record.OwnRecord:
        """Make the record of a key for a new writer, whole at once; its key is locked and has none."""
        made = record.Record(state, self.session, key)
        name, fd = self.new_file()
        try:
            Span(fd, 0).write(0, memoryview(record.encode(made)))
            with closing_fd(self.make(TEMPORARY)) as source, closing_fd(self.make(RECORDS)) as target:
                os.rename(name, record_name(key), src_dir_fd=source, dst_dir_fd=target)
        except BaseException:
            os.close(fd)
            self.remove_file(name)
            raise
        return record.OwnRecord(fd, made)

    def remove_record(self, name: str) -> None:
        """Unlink a record."""
        with closing_fd(self.make(RECORDS)) as directory:
            os.unlink(name, dir_fd=directory)

    def sync_record(self, fd: int) -> None:
        """Make a record durable, and its name."""
        os.fsync(fd)
        self.sync_records()

    def sync_records(self) -> None:
        """Make the names of all records durable, and the absence of those removed."""
        with closing_fd(self.make(RECORDS)) as directory:
            os.fsync(directory)


def _read_state(directory: int, name: str) -> record.State | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return None
    with closing_fd(fd):
        found = record.read(fd)
    return found.state if found else None


def _open_lock(directory: int, name: str) -> int:
    """Open a lock file; they are made all at once, so that deleting never needs room that a full disk has not."""
    with suppress(FileNotFoundError):
        return os.open(name, os.O_RDWR | os.O_NOFOLLOW, dir_fd=directory)
    for number in range(_STRIPES):
        os.close(os.open(f"{number:02d}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666, dir_fd=directory))
    return os.open(name, os.O_RDWR | os.O_NOFOLLOW, dir_fd=directory)

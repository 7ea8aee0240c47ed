"""The private area, ``.layerstore`` below the root: temporary files, records, locks, and who is alive."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256

from layerstore_drivers.local import record
from layerstore_drivers.local.listing import AREA
from layerstore_drivers.local.locks import Lock, closing_fd
from layerstore_drivers.local.session import Session
from layerstore_drivers.local.span import Span
from layerstore_drivers.local.tree import Tree

TEMPORARY, RECORDS, LOCKS, SESSIONS = "tmp", "writers", "locks", "sessions"

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW

_REMEMBERED = 1024
"""Names of records whose keys are remembered, per driver; beyond that all are forgotten, and read once more."""

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
        self._keys: dict[str, str] = {}

    @property
    def session(self) -> str:
        """The name of the instance's session, begun when first needed; it ends when the area is collected."""
        pid = os.getpid()  # a forked child has its own: it may outlive its parent
        if pid not in self._sessions:
            # Two threads may both begin one; the one that is not kept ends at once, and neither waits.
            self._sessions.setdefault(pid, Session(self.make(SESSIONS)))
        return self._sessions[pid].name

    def make(self, part: str) -> int:
        """Open a directory of the area, made if missing. The descriptor is the caller's to close."""
        return self._tree.make(f"{AREA}/{part}")

    @contextmanager
    def locked(self, *keys: str) -> Iterator[None]:
        """Lock keys against every other operation on them, in all processes, for a few system calls."""
        with self.locked_names({lock_name(record_name(key)) for key in keys}):
            yield

    @contextmanager
    def locked_names(self, names: set[str]) -> Iterator[None]:
        """Take locks by name, always in the same order."""
        with ExitStack() as stack:
            for name in sorted(names):
                stack.enter_context(Lock(stack.enter_context(closing_fd(self._open_lock(name)))))
            yield

    def new_file(self) -> tuple[str, int]:
        """Make a temporary file; return its name and descriptor, both the caller's to remove and to close."""
        with closing_fd(self.temporary()) as directory:
            return self._new_file(directory)

    def temporary(self) -> int:
        """Open the directory of temporary files, whose name need not last. The descriptor is the caller's to close."""
        with suppress(FileNotFoundError):
            self._tree.make_root()
            return self._tree.enter(f"{AREA}/{TEMPORARY}", "")
        return self.make(TEMPORARY)

    def remove_file(self, name: str) -> None:
        """Remove a temporary file if it is still there."""
        with suppress(FileNotFoundError), closing_fd(self._tree.enter(f"{AREA}/{TEMPORARY}", "")) as directory:
            os.unlink(name, dir_fd=directory)

    def open_record(self, key: str, access: int = os.O_RDWR) -> int | None:
        """Open the record of a key; None if there is none."""
        with suppress(FileNotFoundError):
            return self._tree.open(f"{AREA}/{RECORDS}/{record_name(key)}", access, key)
        return None

    def read_state(self, key: str) -> record.State | None:
        """Read the state in the record of a key: None if there is none, or it is damaged."""
        fd = self.open_record(key, os.O_RDONLY)
        if fd is None:
            return None
        with closing_fd(fd):
            found = record.read(fd)
        return found.state if found else None

    def write_record(self, key: str, state: record.State) -> record.OwnRecord:
        """Make the record of a key for a new writer, whole at once; its key is locked and has none."""
        made = record.Record(state, self.session, key)
        self._remember(record_name(key), key)
        with closing_fd(self.temporary()) as source:
            name, fd = self._new_file(source)
            try:
                Span(fd, 0).write(0, memoryview(record.encode(made)))
                with closing_fd(self.make(RECORDS)) as target:
                    os.rename(name, record_name(key), src_dir_fd=source, dst_dir_fd=target)
            except BaseException:
                os.close(fd)
                self.remove_file(name)
                raise
        return record.OwnRecord(fd, made)

    def key_of(self, name: str, directory: int) -> str | None:
        """Return the key of a record in the directory of records; None if it is gone, or damaged.

        Each is read once: a name is the hash of its key, and of no other.
        """
        if (known := self._keys.get(name)) is not None:
            return known
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)
        except FileNotFoundError:
            return None
        with closing_fd(fd):
            found = record.read(fd)
        if found is None or record_name(found.key) != name:
            return None
        self._remember(name, found.key)
        return found.key

    def _remember(self, name: str, key: str) -> None:
        if len(self._keys) >= _REMEMBERED:
            self._keys = {}
        self._keys[name] = key

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

    def _new_file(self, directory: int) -> tuple[str, int]:
        name = f"{self.session}.{uuid.uuid4().hex}"
        return name, os.open(name, _NEW, 0o666, dir_fd=directory)

    def _open_lock(self, name: str) -> int:
        """Open a lock file; they are made all at once, so that deleting never needs room that a full disk has not."""
        path = f"{AREA}/{LOCKS}/{name}"
        with suppress(FileNotFoundError):
            self._tree.make_root()
            return self._tree.open(path, os.O_RDWR, "")
        with closing_fd(self.make(LOCKS)) as directory:
            for number in range(_STRIPES):
                os.close(os.open(f"{number:02d}", _LOCK, 0o666, dir_fd=directory))
        return self._tree.open(path, os.O_RDWR, "")

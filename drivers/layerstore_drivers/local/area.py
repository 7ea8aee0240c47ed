"""The private area, ``.layerstore`` below the root: temporary files, records, locks and sessions."""

from __future__ import annotations

import errno
import io
import os
import stat
from contextlib import suppress
from hashlib import sha256

from layerstore.errors import BackendUnavailableError
from layerstore_drivers.local import record
from layerstore_drivers.local.listing import AREA
from layerstore_drivers.local.locks import LockFile, Session
from layerstore_drivers.local.system import PERHAPS, HeldDirectory, closing_fd, status_of, sync_directory, write_all
from layerstore_drivers.local.tree import Tree

TEMPORARY, RECORDS, LOCKS, SESSIONS = "tmp", "writers", "locks", "sessions"

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW

_OBSTACLES = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV}

_REMEMBERED = 1024
"""Keys that a driver remembers, of records and of bytes. When there are more, it forgets them all."""

_STRIPES = 64
"""Locks of a store. Keys that share one wait for each other's critical sections, of a few system calls each."""


def record_name(key: str) -> str:
    """Return the name of the record of a key."""
    return sha256(key.encode("ascii")).hexdigest()


def lock_names(*keys: str) -> list[str]:
    """Return the names of the locks of keys, each once, in the order in which they are to be taken."""
    return sorted({lock_name(record_name(key)) for key in keys})


def lock_name(name: str) -> str:
    """Return the name of the lock of a record's key."""
    return f"{int(name[:4], 16) % _STRIPES:02d}"


class Area:
    """The private area of one root, as one driver instance uses it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.swept = False
        """Whether it was tidied up."""
        self._sessions: dict[int, Session] = {}
        self._keys: dict[str, str] = {}
        self._temporary: HeldDirectory | None = None
        self._synced: dict[str, record.Identity] = {}

    @property
    def session(self) -> Session:
        """The instance's session, begun when first needed; it ends when the area is collected."""
        # A forked child has its own: it may outlive its parent. The system is asked, since not every fork runs Python's
        # hooks, and two processes with one session would give two files one name.
        pid = os.getpid()
        if pid not in self._sessions:
            # Two threads may both begin one; the one that is not kept ends at once, and neither waits.
            self._sessions.setdefault(pid, Session(self.make(SESSIONS)))
        return self._sessions[pid]

    def make(self, part: str) -> int:
        """Open a directory of the area, made if missing. The caller must close it."""
        try:
            return self.tree.make(f"{AREA}/{part}")
        except NotADirectoryError as error:
            raise self._in_the_way(part, "is no directory") from error

    def lock(self, key: str) -> LockFile:
        """Open the lock file of a key. Its lock keeps out operations on the key in all processes; see :mod:`.locks`."""
        return self.lock_named(lock_name(record_name(key)))

    def lock_named(self, name: str) -> LockFile:
        """Open a lock file by its name. A caller that takes several takes them in the order of their names."""
        return LockFile(self._open_lock(name), str(self.tree.root / AREA / LOCKS / name))

    def new_file(self) -> tuple[HeldDirectory, str, int]:
        """Make a temporary file. Return its directory, its name, and a descriptor that the caller must close."""
        directory, name = self._open_temporary(), self.session.name_file()
        try:
            return directory, name, os.open(name, _NEW, 0o666, dir_fd=directory.fd)
        except FileNotFoundError:  # somebody has removed the directory
            self._temporary = None
            directory = self._open_temporary()
            return directory, name, os.open(name, _NEW, 0o666, dir_fd=directory.fd)

    def _open_temporary(self) -> HeldDirectory:
        """Return the directory of temporary files. It stays open: only its maker looks for a file in it."""
        kept = self._temporary
        if kept is None:
            kept = self._temporary = HeldDirectory(self._enter_temporary())
        return kept

    def _enter_temporary(self) -> int:
        with suppress(FileNotFoundError):
            return self.tree.enter(f"{AREA}/{TEMPORARY}", "")  # its name need not last
        return self.make(TEMPORARY)

    def open_record(self, key: str) -> io.FileIO | None:
        """Open the record of a key for reading and writing; None if there is none."""
        with suppress(FileNotFoundError):
            return io.FileIO(self._open_file(f"{RECORDS}/{record_name(key)}", os.O_RDWR | PERHAPS), "r+")
        return None

    def read_state(self, key: str) -> record.State | None:
        """Read the state in the record of a key: None if there is none, or it is damaged."""
        try:
            fd = self._open_file(f"{RECORDS}/{record_name(key)}", os.O_RDONLY | PERHAPS)
        except FileNotFoundError:
            return None
        with closing_fd(fd):
            found = record.read(fd)
        return found.state if found else None

    def write_record(self, key: str, state: record.State) -> record.OwnRecord:
        """Make the record of a new writer, which replaces any other record of the key in one step. The key is locked.

        If it must hide unflushed bytes that the other record hid, it is made durable.
        """
        made = record.Record(state, self.session.name, key)
        return record.OwnRecord(self._write_record(made), made)

    def leave_note(self, key: str, state: record.State) -> None:
        """Leave a note: a record without an owner, which replaces any other record of the key. The key is locked."""
        os.close(self._write_record(record.Record(state, record.NOBODY, key, owned=False)))

    def _write_record(self, made: record.Record) -> int:
        self._remember(record_name(made.key), made.key)
        source, name, fd = self.new_file()
        try:
            write_all(fd, record.encode(made))
            if made.state.former:
                os.fsync(fd)  # it must go on hiding the unflushed bytes of the file before
            with closing_fd(self.make(RECORDS)) as target:
                os.rename(name, record_name(made.key), src_dir_fd=source.fd, dst_dir_fd=target)
        except BaseException:
            os.close(fd)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=source.fd)
            raise
        return fd

    def note_synced(self, key: str, found: record.Identity) -> None:
        """Note that the bytes of a key's file are durable, as long as the file has this identity."""
        if len(self._synced) >= _REMEMBERED:
            self._synced = {}
        self._synced[key] = found

    def is_synced(self, key: str, found: record.Identity) -> bool:
        """Return whether the bytes of a key's file are known to be durable. Forget the key, which will be moved."""
        return self._synced.pop(key, None) == found

    def key_of(self, name: str, directory: int) -> str | None:
        """Return the key of a record in the directory of records; None if it is gone, or damaged.

        Each is read once: a name is the hash of its key, and of no other.
        """
        if (known := self._keys.get(name)) is not None:
            return known
        found = read_at(directory, name)
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
        """Make the names of all records durable, and the removal of records."""
        with closing_fd(self.make(RECORDS)) as directory:
            sync_directory(directory)

    def _open_lock(self, name: str) -> int:
        """Open a lock file. All are made at once, so that a deletion needs no room on a full disk."""
        with suppress(FileNotFoundError):
            return self._open_any(f"{LOCKS}/{name}", os.O_RDWR)
        with closing_fd(self.make(LOCKS)) as directory:
            for number in range(_STRIPES):
                with suppress(IsADirectoryError):  # said of the one that is asked for
                    os.close(os.open(f"{number:02d}", _LOCK, 0o666, dir_fd=directory))
        return self._open_any(f"{LOCKS}/{name}", os.O_RDWR)

    def _open_file(self, path: str, access: int) -> int:
        """Open a regular file of the area; it says so if something else is in its place."""
        fd = self._open_any(path, access)
        if stat.S_ISREG(status_of(fd).st_mode):
            return fd
        os.close(fd)
        raise self._in_the_way(path, "is no file")

    def _open_any(self, path: str, access: int) -> int:
        try:
            return self.tree.open(f"{AREA}/{path}", access | os.O_NONBLOCK, "")  # nobody may be behind a pipe
        except OSError as error:
            if error.errno not in _OBSTACLES:
                raise
            os.close(self.make(path.partition("/")[0]))  # it may be that one, and then this says so
            raise self._in_the_way(path, "is no file") from error

    def _in_the_way(self, path: str, what: str) -> BackendUnavailableError:
        place = self.tree.root / AREA / path
        return BackendUnavailableError("", f"{place} {what}: only layerstore should write there; move it away")


def read_at(directory: int, name: str) -> record.Record | None:
    """Read a record in the directory of records; None if it is gone, damaged or no file at all."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError as error:
        if error.errno in _OBSTACLES | {errno.ENOENT}:
            return None
        raise
    with closing_fd(fd):
        return record.read(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else None

"""A key's record: its writer, how much of the object is flushed, and which version that is.

Only some keys have a record: keys with an open writer, keys whose writer was killed, and keys whose file has a new
change time although its published bytes are the same, because unflushed bytes were cut off. A record without an owner
is a note: it says which version the file still is.

It lies in the private area under a hash of the key, so that it needs no room in the key's own directory. To fence the
writer, a process cuts off the last byte of the record; the writer checks the size of the file that it holds open. A
writer appends in place, so readers take from the record where the object ends.

Two slots hold the state, written in turn and each within one disk block: a write that is cut off leaves the other.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from layerstore.errors import FencedError
from layerstore_drivers.local.system import try_lock, unlock

T = TypeVar("T")

BLOCK = 4096
"""Bytes from one slot to the next: no disk in use writes a larger block at once."""

_SLOT = struct.Struct("<4sI Q16s Qq QQqq QQqq Q ???5x")
_MAGIC = b"lsw2"
_OWNER = 2 * BLOCK
_LONGEST = _OWNER + 2048

NOBODY = "-"
"""The session of a note."""

_UNKNOWN = bytes(16)

_LATEST = (1 << 63) - (1 << 32)
"""The latest time that fits, in nanoseconds since 1970, and the earliest below 0: 292 years.

A file may have any time that a program has set."""


class Identity(NamedTuple):
    """The identity of a file: it changes whenever the file does, for no program can set the last field."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Return the identity of a file."""
        return cls(status.st_ino, status.st_size, max(-_LATEST, min(status.st_mtime_ns, _LATEST)), status.st_ctime_ns)

    def __str__(self) -> str:
        return "-".join(f"{number:x}" for number in self)


NOTHING = Identity(0, 0, 0, 0)


@cache
def boot() -> bytes:
    """Return the identifier of this run of the system; zeros if the system has none."""
    with suppress(OSError, ValueError):
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", ""))
    return _UNKNOWN


class Seen(NamedTuple):
    """The view that others have of a file: its size, time and version."""

    size: int
    mtime_ns: int
    version: Identity


class State(NamedTuple):
    """The contents of a slot."""

    sequence: int
    """Counts the slots written; the highest valid one counts."""

    boot: bytes
    """The run of the system in which it was written. After a loss of power, unsynced files may be older."""

    size: int
    """Bytes flushed. Bytes of the file beyond are not published."""

    mtime_ns: int
    """When they were flushed, in nanoseconds."""

    version: Identity
    """The file as it was published, which is the object's version until the next publication."""

    now: Identity
    """The file as we left it; while ``writing``, as it was before. Inode 0: there is no file."""

    former: int = 0
    """Inode of the file that ``now`` replaces, which may have unpublished bytes; 0: none."""

    growing: bool = False
    """Whether the file may have unpublished bytes after a loss of power. This is durable before it has any."""

    dirty: bool = False
    """Whether bytes were written in place that are not flushed."""

    writing: bool = False
    """Whether the file is being changed by us just now, so that ``now`` says nothing."""

    def speaks_of(self, inode: int) -> bool:
        """Return whether this is about a file."""
        return inode in {self.now.inode, self.former} - {0}

    def sees(self, found: Identity) -> Seen:
        """Return the view that others have of the file that was found under the key."""
        plain, published = Seen(found.size, found.mtime_ns, found), Seen(self.size, self.mtime_ns, self.version)
        if not self.speaks_of(found.inode) or found.size < self.size:
            return plain
        if found == self.now or found.inode == self.former or (self.writing and self.boot == boot()):
            return published
        certain = self.boot == boot() != _UNKNOWN
        if self.growing and (self.dirty or not certain):
            # Changed by another program, or by a loss of power. Bytes that may not be flushed stay hidden either way.
            return Seen(self.size, found.mtime_ns, found)
        return plain


class Record(NamedTuple):
    """The contents of a record file."""

    state: State
    session: str
    """The session of the writer; while it is alive, so may be the writer."""

    key: str
    owned: bool = True
    """Whether nobody has fenced the writer, be it alive or dead; a note has none."""


def read(fd: int) -> Record | None:
    """Read a record; None where both slots are damaged, or the owner."""
    data = os.pread(fd, _LONGEST, 0)
    states = [state for at in (0, BLOCK) if (state := _decode(data[at : at + _SLOT.size]))]
    try:
        # A loss of power may undo the cut of the last byte, and leave a zero there.
        session, key = data[_OWNER:].rstrip(b"\n\0").decode("ascii").splitlines()
    except ValueError:
        return None
    return Record(max(states), session, key, owned=data[-1:] == b"\n") if states else None


def disown(fd: int) -> None:
    """Fence the writer of a record, which goes on saying what is published. It needs no space, and is not durable."""
    size = os.fstat(fd).st_size
    if size > _OWNER and os.pread(fd, 1, size - 1) == b"\n":
        os.ftruncate(fd, size - 1)


def encode(record: Record) -> bytes:
    """Return a new record, with the same state in both slots, so that no later write needs a new block."""
    slot = _encode(record.state).ljust(BLOCK, b"\0")
    end = "\n" if record.owned else ""
    return slot + slot + f"{record.session}\n{record.key}{end}".encode("ascii")


def write(fd: int, state: State) -> State:
    """Write the state that comes after another into its slot, not durably, and return it."""
    state = state._replace(sequence=state.sequence + 1, boot=boot())
    os.pwrite(fd, _encode(state), BLOCK * (state.sequence % 2))
    return state


def _encode(state: State) -> bytes:
    return _SLOT.pack(_MAGIC, _checksum(state), *_flat(state))


def _flat(state: State) -> list[int | bytes | bool]:
    return [*state[:4], *state.version, *state.now, *state[6:]]


def _decode(slot: bytes) -> State | None:
    if len(slot) < _SLOT.size:
        return None
    _, _, *fields = _SLOT.unpack(slot)
    state = State._make([*fields[:4], Identity(*fields[4:8]), Identity(*fields[8:12]), *fields[12:]])
    return state if _encode(state) == slot else None


def _checksum(state: State) -> int:
    return zlib.crc32(_SLOT.pack(_MAGIC, 0, *_flat(state)))


class OwnRecord:
    """The record of one writer, seen by the writer.

    The writer holds the record's lock during each change, so that a process that fences it can see if it is in one. The
    writer never waits for the lock: if another holds it, the writer is fenced.
    """

    closed = False

    def __init__(self, fd: int, record: Record) -> None:
        """Take over the descriptor of the record's file, open for reading and writing.

        No file object: one that is collected together with the writer would be closed before the writer is.
        """
        self.fd = fd
        self.key = record.key
        self._size = len(encode(record))
        self._state = record.state

    @property
    def owned(self) -> bool:
        """Whether nobody has fenced the writer. The answer lasts only while the record, or the key, is locked."""
        status = os.fstat(self.fd)
        return status.st_nlink > 0 and status.st_size == self._size

    def change(self, fd: int, act: Callable[[], T]) -> T:
        """Change the object's own file, beyond what is published.

        Raises:
            FencedError: someone has fenced the writer already, or another program has changed the file since we did;
                nothing is done.
        """
        return self._alone(lambda: self._change(fd, act))

    def tell(self, published: Identity, former: int = 0) -> None:
        """Say which file is published from now on, and that it is not in growth; not durably."""
        self._alone(lambda: self._write(State(0, b"", *published[1:3], published, published, former)))

    def tell_placed(self, now: Identity) -> None:
        """Say that a copy is in place, not durably yet."""
        self._write(self._state._replace(now=now, writing=False))

    def tell_lasting(self) -> None:
        """Say that the copy is in place durably, so that the replaced file will not come back."""
        self._alone(lambda: self._write(self._state._replace(former=0)))

    def tell_growing(self) -> None:
        """Say that the file may have unpublished bytes; not durably."""
        self._alone(lambda: self._write(self._state._replace(growing=True)))

    def tell_grown(self) -> Identity:
        """Say durably that all of the file is published, and return its version. If that fails, undo it.

        The key is locked.
        """
        before, now = self._state, self._state.now
        try:
            self._write(before._replace(size=now.size, mtime_ns=now.mtime_ns, version=now, dirty=False))
            os.fdatasync(self.fd)
        except OSError:
            self._write(before)
            raise
        return now

    def let_go(self) -> None:
        """Give up the lock, should an interruption have left it held."""
        unlock(self.fd)

    def close(self) -> None:
        """Close the file, once."""
        if not self.closed:
            self.closed = True
            os.close(self.fd)

    def _alone(self, act: Callable[[], T]) -> T:
        try:
            # Inside the block, so that the lock is given up whatever interrupts this.
            if not try_lock(self.fd) or not self.owned:
                raise FencedError(self.key)
            return act()
        finally:
            unlock(self.fd)

    def _change(self, fd: int, act: Callable[[], T]) -> T:
        if not self._state.writing and Identity.of(os.fstat(fd)) != self._state.now:
            raise FencedError(self.key, "another program has changed it")  # our next state would hide that
        self._write(self._state._replace(dirty=True, writing=True))
        try:
            return act()
        finally:
            self._write(self._state._replace(now=Identity.of(os.fstat(fd)), writing=False))

    def _write(self, state: State) -> None:
        self._state = write(self.fd, state._replace(sequence=self._state.sequence))

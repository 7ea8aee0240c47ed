"""A writer's record: who owns a key, and how much of the object has been flushed.

Only a key with an open writer has one, or with a writer that was killed. It lies in the private area under a hash of
the key, so that it needs no room in the key's own directory. Whoever cuts off its last byte has fenced the writer, and
unlinks it then; a writer asks the descriptor it holds whether that has happened. Readers take from it where the object
ends, for a writer appends in place.

Two slots hold the state, written in turn and each within one disk block: a write that is cut off leaves the other.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import NamedTuple

from layerstore.errors import FencedError
from layerstore_drivers.local.locks import Lock

BLOCK = 4096
"""Bytes from one slot to the next: no disk in use writes a larger block at once."""

_SLOT = struct.Struct("<4sI Q16sQQq?7x")
_MAGIC = b"lsw1"
_OWNER = 2 * BLOCK
_LONGEST = _OWNER + 2048


class State(NamedTuple):
    """What a slot says."""

    sequence: int
    """Counts the slots written; the highest valid one counts."""

    token: bytes
    """16 random bytes, the writer's own."""

    inode: int
    """The file the next two fields are about; 0 where none has been published."""

    size: int
    """Bytes flushed; what the file has beyond is not published."""

    mtime_ns: int
    """The file's modification time when it was flushed, in nanoseconds."""

    growing: bool
    """Whether the writer may have written beyond ``size`` in place. While not, a file that differs is another's."""


class Record(NamedTuple):
    """What a record file says."""

    state: State
    session: str
    """The session of the writer; while it is alive, so may be the writer."""

    key: str


def read(fd: int) -> Record | None:
    """Read a record; None where both slots are damaged, or the owner."""
    data = os.pread(fd, _LONGEST, 0)
    states = [state for at in (0, BLOCK) if (state := _decode(data[at : at + _SLOT.size]))]
    try:
        # Cutting off the last byte, a disk may have made it zero, and lost that the file is shorter.
        session, key = data[_OWNER:].rstrip(b"\n\0").decode("ascii").splitlines()
    except ValueError:
        return None
    return Record(max(states), session, key) if states else None


def disown(fd: int) -> bool:
    """Fence the writer of a record, which still says what is published; needs no space and is not made durable.

    Tells whether the writer was not fenced before.
    """
    size = os.fstat(fd).st_size
    if size > _OWNER and os.pread(fd, 1, size - 1) == b"\n":
        os.ftruncate(fd, size - 1)
        return True
    return False


def encode(record: Record) -> bytes:
    """Return a whole new record, the same state in both slots: no write to come needs a block that is not there."""
    slot = _encode(record.state).ljust(BLOCK, b"\0")
    return slot + slot + f"{record.session}\n{record.key}\n".encode("ascii")


def _encode(state: State) -> bytes:
    return _SLOT.pack(_MAGIC, _checksum(state), *state)


def _decode(slot: bytes) -> State | None:
    if len(slot) < _SLOT.size:
        return None
    _, _, *fields = _SLOT.unpack(slot)
    state = State(*fields)
    return state if _encode(state) == slot else None


def _checksum(state: State) -> int:
    return zlib.crc32(_SLOT.pack(_MAGIC, 0, *state))


class OwnRecord(Lock):
    """The record of one writer, seen by the writer; as a context manager, it keeps others from fencing meanwhile.

    Raises:
        FencedError: on entering, if someone has fenced the writer already.
    """

    def __init__(self, fd: int, record: Record) -> None:
        """Take over the descriptor of the record's file, open for reading and writing."""
        super().__init__(fd)
        self.key = record.key
        self._size = len(encode(record))
        self._state = record.state

    def __enter__(self) -> None:
        super().__enter__()
        if not self.owned:
            self.__exit__()
            raise FencedError(self.key)

    @property
    def owned(self) -> bool:
        """Whether no one has fenced the writer: for longer than a moment only while it, or its key, is locked."""
        status = os.fstat(self.fd)
        return status.st_nlink > 0 and status.st_size == self._size

    def tell(self, inode: int, size: int, mtime_ns: int) -> None:
        """Say what is published from now on, to every reader at once; not durably, and nothing being in growth."""
        self._write(self._state._replace(inode=inode, size=size, mtime_ns=mtime_ns, growing=False))

    def tell_growing(self) -> None:
        """Say that the file may have more than is published; not durably."""
        self._write(self._state._replace(growing=True))

    def tell_grown(self, size: int, mtime_ns: int) -> None:
        """Say durably that more of the file is published; where that fails, take it back."""
        before = self._state
        try:
            self._write(before._replace(size=size, mtime_ns=mtime_ns))
            os.fdatasync(self.fd)
        except OSError:
            self._write(before)
            raise

    def _write(self, state: State) -> None:
        state = state._replace(sequence=self._state.sequence + 1)
        os.pwrite(self.fd, _encode(state), BLOCK * (state.sequence % 2))
        self._state = state

"""Take a key from its writer (clauses F1 to F4).

Nobody waits for the writer that is fenced: it may be stopped, or a slow disk may hold it up in the middle of a write in
place. Then the object goes on in a copy, and what the writer still does, it does to a file without a name.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from layerstore.errors import AccessDeniedError, DriverError, PathNotFoundError
from layerstore_drivers.local import record
from layerstore_drivers.local.area import Area, record_name
from layerstore_drivers.local.reader import Published, open_object, see
from layerstore_drivers.local.record import Identity, State
from layerstore_drivers.local.system import closing_fd, try_lock
from layerstore_drivers.local.tree import Tree

GRACE = 0.2
"""Seconds that a fenced writer may take to be done with the write it is in, before the object is copied."""


class Disowned:
    """The record of a key, taken from its writer, and open while the key is locked."""

    def __init__(self, tree: Tree, area: Area, key: str, file: io.FileIO) -> None:
        """Fence the writer."""
        self._tree, self._area, self._key, self._file = tree, area, key, file
        # First of all: were anything to fail half way, the writer must not go on with bytes that have been cut off.
        record.disown(file.fileno())
        self.idle = try_lock(file)
        """Whether the writer is not in the middle of a change; as it is fenced, it begins none."""
        found = record.read(file.fileno())
        self.state = found.state if found else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def lasting(self) -> bool:
        """Whether the record is durable: a loss of power may bring it back, and then it must be right."""
        return self.state is not None and (self.state.growing or self.state.former != 0)

    def see_again(self, base: Published) -> bool:
        """Look once more at a file that its writer may have gone on with until now, and tell if the record is about it.

        In the middle of a change, only what is published is certain.
        """
        if self.state is None or not self.state.speaks_of(base.found.inode):
            return False
        if self.idle:
            base.found = Identity.of(os.fstat(base.fd))
            base.seen = self.state.sees(base.found)
        return True

    def can_cut(self, found: Identity) -> bool:
        """Tell whether nobody is writing to a file that the record speaks of."""
        return self.idle and self.state is not None and found.inode != self.state.former

    def cut(self, base: Published) -> Identity:
        """Cut off what was not flushed of the file that the record speaks of; return what the file is then."""
        state, whole = self.state, base.found == base.seen.version and base.found.size == base.size
        if state is None or whole or not (state.growing or state.writing):
            return base.found
        if state.former:
            self._tree.sync_parent(self._key)  # see drop
        # Until it is done, the file is as it was for others.
        told = State(state.sequence, b"", *base.seen, base.found, growing=True, writing=True)
        record.write(self._file.fileno(), told)
        os.ftruncate(base.fd, base.size)
        os.utime(base.fd, ns=(base.seen.mtime_ns, base.seen.mtime_ns))
        # Without its record, nothing tells the unflushed bytes from the rest should the cut be lost.
        os.fsync(base.fd)
        return Identity.of(os.fstat(base.fd))

    def drop(self) -> None:
        """Remove the record, for the file under the key is none that it speaks of, and stays so."""
        if self.lasting:
            # Without its record, and should the name that the file has got not last, nothing would hide what the writer
            # had written into the one before.
            self._tree.sync_parent(self._key)
        self.remove()

    def remove(self) -> None:
        """Remove the record."""
        self._area.remove_record(record_name(self._key))
        if self.lasting:
            # If it came back with a loss of power, it would cut off what others append from here on.
            self._area.sync_records()


def disown(tree: Tree, area: Area, key: str) -> Disowned | None:
    """Fence the writer of a locked key, if it has a record."""
    file = area.open_record(key)
    if file is None:
        return None
    try:
        return Disowned(tree, area, key, file)
    except BaseException:
        file.close()
        raise


@contextmanager
def replacing(tree: Tree, area: Area, key: str) -> Iterator[None]:
    """Fence the writer of a locked key whose file is replaced, or removed, in the block; forget the key's version."""
    file = area.open_record(key)
    if file is None:
        yield
        return
    with file:
        tree.refuse_obstacles(key)  # as the block would, and then it is not fenced
        disowned = Disowned(tree, area, key, file)
        yield
        disowned.drop()


def fence(tree: Tree, area: Area, key: str, *, noting: bool = False) -> None:
    """Fence the writer of a locked key, if it has one, and cut off what that has not flushed.

    Its version is noted if asked for. A writer in the middle of a write leaves its record, which goes on hiding that.
    """
    disowned = disown(tree, area, key)
    if disowned is None:
        return
    with disowned:
        base = _find(tree, key, disowned.state)
        if base is None:
            disowned.drop()
            return
        with closing_fd(base.fd):
            if not disowned.see_again(base):
                disowned.drop()
            elif disowned.can_cut(base.found):
                _retire(area, key, disowned, base, noting=noting)


def is_at_rest(tree: Tree, key: str, state: State) -> bool:
    """Tell whether a record says of the file under its key what it is, and nothing is to be done about it."""
    base = _find(tree, key, state)
    if base is None:
        return False
    os.close(base.fd)
    return base.found == state.now != base.seen.version and not (state.growing or state.writing or state.former)


def _retire(area: Area, key: str, disowned: Disowned, base: Published, *, noting: bool) -> None:
    now = disowned.cut(base)
    if noting and now != base.seen.version:
        with suppress(OSError, DriverError):  # without it, the object only has another version
            area.leave_note(key, fresh(base, now))
            if disowned.lasting:
                area.sync_records()
            return
    disowned.remove()


def fresh(base: Published | None, now: Identity | None = None) -> State:
    """Return the state of a new record of what is published, whose file may have been changed by us since."""
    if base is None:
        return State(0, record.boot(), 0, 0, record.NOTHING, record.NOTHING)
    return State(0, record.boot(), *base.seen, now or base.found)


def wait_a_moment(area: Area, key: str, inode: int) -> bool:
    """Wait until a fenced writer is done with its change of a file; tell whether it is, or its record is gone."""
    until, pause = time.monotonic() + GRACE, 0.0005
    while not _is_done(area, key, inode):
        if time.monotonic() >= until:
            return False
        time.sleep(pause)
        pause *= 2
    return True


def _is_done(area: Area, key: str, inode: int) -> bool:
    file = area.open_record(key)
    if file is None:
        return True
    with file:
        found = record.read(file.fileno())
        # The lock of one that is owned is its owner's alone: that takes it for fenced if another has it.
        return found is None or found.owned or (found.state.former != inode and try_lock(file))


def _find(tree: Tree, key: str, state: State | None) -> Published | None:
    try:
        fd, status = open_object(tree, key, os.O_RDWR)
    except (PathNotFoundError, AccessDeniedError):
        return None
    found = Identity.of(status)
    return Published(fd, found, see(state, found))

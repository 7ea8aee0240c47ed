"""Take a key from its writer (clauses F1 to F4).

A process that fences a writer does not wait for it: the writer may be stopped, or a slow disk may hold it up in the
middle of a write in place. The object then continues in a copy, and the fenced writer writes to a file without a name.
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
from layerstore_drivers.local.system import closing_fd, stamp, try_lock
from layerstore_drivers.local.tree import Tree

GRACE = 0.2
"""Seconds that a fenced writer may take to end its current write, before the object is copied."""


class Disowned:
    """The record of a key, taken from its writer, and open while the key is locked."""

    def __init__(self, tree: Tree, area: Area, key: str, file: io.FileIO) -> None:
        """Fence the writer."""
        self._tree, self._area, self._key, self._file = tree, area, key, file
        # Before anything else: if a later step fails, the writer must not continue, as its bytes may have been cut off.
        record.disown(file.fileno())
        self.idle = try_lock(file)
        """Whether the writer is in no change. As it is fenced, it begins none."""
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
        """Whether the record is durable. A loss of power may then bring it back, and it must be right."""
        return self.state is not None and (self.state.growing or self.state.former != 0)

    def see_again(self, base: Published) -> bool:
        """Look again at a file that its writer may have changed until now. Return whether the record is about it.

        While the writer is in a change, only the published bytes are certain.
        """
        if self.state is None or not self.state.speaks_of(base.found.inode):
            return False
        if self.idle:
            base.found = Identity.of(os.fstat(base.fd))
            base.seen = self.state.sees(base.found)
        return True

    def can_cut(self, found: Identity) -> bool:
        """Return whether the record describes a file, and no writer is writing to it."""
        return self.idle and self.state is not None and found.inode != self.state.former

    def cut(self, base: Published) -> Identity:
        """Cut unflushed bytes off the file that the record describes. Return the identity that the file has then."""
        state, whole = self.state, base.found == base.seen.version and base.found.size == base.size
        if state is None or whole or not (state.growing or state.writing):
            return base.found
        if state.former:
            self._tree.sync_parent(self._key)  # see drop
        # Until this is done, others see the file as it was.
        changing = State(state.sequence, b"", *base.seen, base.found, growing=True, writing=True)
        record.write(self._file.fileno(), changing)
        os.ftruncate(base.fd, base.size)
        stamp(base.fd, base.seen.mtime_ns)
        # If a loss of power undid the cut, only the record would tell unflushed bytes from the rest; it is removed.
        os.fsync(base.fd)
        return Identity.of(os.fstat(base.fd))

    def drop(self) -> None:
        """Remove the record: the key has another file than the one that the record describes, and keeps it."""
        if self.lasting:
            # If a loss of power brought the earlier file back, only the record would hide its unflushed bytes.
            self._tree.sync_parent(self._key)
        self.remove()

    def remove(self) -> None:
        """Remove the record."""
        self._area.remove_record(record_name(self._key))
        if self.lasting:
            # If a loss of power brought the record back, it would cut off later appends.
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
    """Fence the writer of a locked key, whose file the block replaces or removes; then drop the record."""
    file = area.open_record(key)
    if file is None:
        yield
        return
    with file:
        tree.refuse_obstacles(key)  # if the block would be refused, the writer must not be fenced
        disowned = Disowned(tree, area, key, file)
        yield
        disowned.drop()


def fence(tree: Tree, area: Area, key: str, *, noting: bool = False) -> None:
    """Fence the writer of a locked key, if it has one, and cut off its unflushed bytes.

    ``noting``: leave a note of the version. If the writer is in a write, its record stays, and hides the new bytes.
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
    """Return whether a record describes the file under its key as it is, and nothing is left to do."""
    base = _find(tree, key, state)
    if base is None:
        return False
    os.close(base.fd)
    return base.found == state.now != base.seen.version and not (state.growing or state.writing or state.former)


def _retire(area: Area, key: str, disowned: Disowned, base: Published, *, noting: bool) -> None:
    now = disowned.cut(base)
    if noting and now != base.seen.version:
        with suppress(OSError, DriverError):  # without a note, the object only gets another version
            area.leave_note(key, fresh(base, now))
            if disowned.lasting:
                area.sync_records()
            return
    disowned.remove()


def fresh(base: Published | None, now: Identity | None = None) -> State:
    """Return the first state of a record about a published file. ``now``: its identity, if we changed it since."""
    if base is None:
        return State(0, record.boot(), 0, 0, record.NOTHING, record.NOTHING)
    return State(0, record.boot(), *base.seen, now or base.found)


def wait_a_moment(area: Area, key: str, inode: int) -> bool:
    """Wait until a fenced writer has ended its change of a file. Return whether it has, or its record is gone."""
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
        # Only its owner may lock the record of a writer: an owner that finds it locked takes itself for fenced.
        return found is None or found.owned or (found.state.former != inode and try_lock(file))


def _find(tree: Tree, key: str, state: State | None) -> Published | None:
    try:
        fd, status = open_object(tree, key, os.O_RDWR)
    except (PathNotFoundError, AccessDeniedError):
        return None
    found = Identity.of(status)
    return Published(fd, found, see(state, found))

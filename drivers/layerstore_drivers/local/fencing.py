"""Take a key from its writer (clauses F1 to F4)."""

from __future__ import annotations

import os

from layerstore.errors import PathNotFoundError
from layerstore_drivers.local import record
from layerstore_drivers.local.area import Area, record_name
from layerstore_drivers.local.locks import Lock, closing_fd
from layerstore_drivers.local.published import binds, open_object
from layerstore_drivers.local.tree import Tree


def fence(tree: Tree, area: Area, key: str) -> None:
    """Fence the writer of a locked key, if it has one, and cut off what that has not flushed."""
    fd = area.open_record(key)
    if fd is None:
        return
    # Its lock, too: the writer may be about to write in place, and not have looked yet whether it may.
    with closing_fd(fd), Lock(fd):
        # First of all: were anything to fail half way, the writer must not go on with bytes that have been cut off.
        first = record.disown(fd)
        found = record.read(fd)
        if found and not _cut_off(tree, key, found.state, first=first) and found.state.growing:
            # The writer was about to make another file durable under the name: without its record, and should the name
            # not last, nothing would hide what it had written into the one before.
            tree.sync_parent(key)
        area.remove_record(record_name(key))
        if found and found.state.growing:
            # If it came back with a loss of power, it would cut off what others append from here on.
            area.sync_records()


def _cut_off(tree: Tree, key: str, state: record.State, *, first: bool) -> bool:
    """Cut off what was not flushed; tell whether the record speaks of the file under the key at all.

    Where the writer was fenced before, whoever did it may have been killed between the cut and its sync.
    """
    try:
        fd, status = open_object(tree, key, os.O_RDWR)
    except PathNotFoundError:
        return False
    with closing_fd(fd):
        if not binds(state, status):
            return False
        if not first or (status.st_size, status.st_mtime_ns) != (state.size, state.mtime_ns):
            os.ftruncate(fd, state.size)
            os.utime(fd, ns=(status.st_atime_ns, state.mtime_ns))
            # Without its record, nothing tells the unflushed bytes from the rest should the cut be lost.
            os.fsync(fd)
        return True

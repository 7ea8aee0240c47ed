"""What killed processes have left in the private area."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from layerstore.errors import DriverError
from layerstore_drivers.local.area import RECORDS, SESSIONS, TEMPORARY, Area, lock_name, read_at, record_name
from layerstore_drivers.local.fencing import fence, is_at_rest
from layerstore_drivers.local.locks import closing_fd
from layerstore_drivers.local.session import bury, is_alive
from layerstore_drivers.local.tree import Tree

_RECORD = re.compile("[0-9a-f]{64}")


def sweep(tree: Tree, area: Area) -> None:
    """Remove what sessions that are over have left, and cut off what they had not flushed.

    What cannot be removed now is left to the next sweep: no one's operation fails for it.
    """
    with closing_fd(area.make(SESSIONS)) as sessions:
        with closing_fd(area.make(TEMPORARY)) as directory:
            for name in os.listdir(directory):
                if not is_alive(sessions, name.partition(".")[0]):
                    with suppress(OSError):
                        _remove_file(directory, name)
        for name in _records(area):
            with suppress(OSError, DriverError):
                _sweep_record(tree, area, sessions, name)
        for name in os.listdir(sessions):
            with suppress(OSError):
                bury(sessions, name)


def _records(area: Area) -> Iterator[str]:
    with closing_fd(area.make(RECORDS)) as directory:
        yield from filter(_RECORD.fullmatch, os.listdir(directory))


def _sweep_record(tree: Tree, area: Area, sessions: int, name: str) -> None:
    """Fence a writer that is dead, and remove a note of what is no more."""
    with area.lock_named(lock_name(name)) as lock, lock.held(patience=0), closing_fd(area.make(RECORDS)) as directory:
        found = read_at(directory, name)
        if found is None or record_name(found.key) != name:
            # Only a loss of power leaves such a one, and then nothing was written in place that it should hide.
            _remove_file(directory, name)
        elif not found.owned:
            if not is_at_rest(tree, found.key, found.state):
                fence(tree, area, found.key, noting=True)
        elif not is_alive(sessions, found.session):
            fence(tree, area, found.key, noting=True)


def _remove_file(directory: int, name: str) -> None:
    """Remove a file; what else another program may have put there stays."""
    if stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=directory)

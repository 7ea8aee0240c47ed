"""What killed processes have left in the private area."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from layerstore.errors import DriverError
from layerstore_drivers.local import record
from layerstore_drivers.local.area import RECORDS, SESSIONS, TEMPORARY, Area, lock_name, record_name
from layerstore_drivers.local.fencing import fence
from layerstore_drivers.local.locks import closing_fd
from layerstore_drivers.local.session import bury, is_alive
from layerstore_drivers.local.tree import Tree


def sweep(tree: Tree, area: Area) -> None:
    """Remove what sessions that are over have left, and cut off what they had not flushed.

    What cannot be removed now is left to the next sweep: no one's operation fails for it.
    """
    with closing_fd(area.make(SESSIONS)) as sessions:
        with closing_fd(area.make(TEMPORARY)) as directory:
            for name in os.listdir(directory):
                if not is_alive(sessions, name.partition(".")[0]):
                    with suppress(OSError):
                        os.unlink(name, dir_fd=directory)
        for name in _records(area):
            with suppress(OSError, DriverError):
                _sweep_record(tree, area, sessions, name)
        for name in os.listdir(sessions):
            with suppress(OSError):
                bury(sessions, name)


def _records(area: Area) -> Iterator[str]:
    with closing_fd(area.make(RECORDS)) as directory:
        yield from os.listdir(directory)


def _sweep_record(tree: Tree, area: Area, sessions: int, name: str) -> None:
    with area.locked_names({lock_name(name)}), closing_fd(area.make(RECORDS)) as directory:
        with closing_fd(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=directory)) as fd:
            found = record.read(fd)
        if found is None or record_name(found.key) != name:
            # Only a loss of power leaves such a one, and then nothing was written in place that it should hide.
            os.unlink(name, dir_fd=directory)
        elif not is_alive(sessions, found.session):
            fence(tree, area, found.key)

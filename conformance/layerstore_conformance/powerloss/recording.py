"""A recording of how files were changed: the state of each file after each call, and its syncs.

:mod:`.recorder` makes one of the calls that a driver makes in this process, :mod:`.traced` one of the system calls of
another process. :mod:`.losses` makes of it the trees that a disk may show after a loss of power.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Data(NamedTuple):
    """The state of a regular file at one moment."""

    content: bytes
    mtime_ns: int
    ctime_ns: int
    """When it was last changed in any way; a rename is one too."""


class Node:
    """A file or directory: all its states, each with the number of the call that made it, and its syncs.

    The state of a directory is a dictionary of the nodes in it.
    """

    def __init__(self, number: int, time: int, value: Any) -> None:  # noqa: ANN401  (Data or a dictionary)
        """Begin as ``value``, with an inode number."""
        self.number = number
        self.is_directory = isinstance(value, dict)
        self.versions = [(time, value)]
        self.syncs = [time]

    @property
    def now(self) -> Any:  # noqa: ANN401  (Data or a dictionary)
        """The present state."""
        return self.versions[-1][1]

    def may_be(self, time: int) -> list[tuple[int, Any]]:
        """Return the states that a loss of power may leave after a call, oldest first: the last synced and later."""
        past = [version for version in self.versions if version[0] <= time]
        synced = max(sync for sync in self.syncs if sync <= time)
        return past[max(at for at, version in enumerate(past) if version[0] <= synced) :]


class Recording:
    """The files below a directory, and every change of them since it was empty."""

    def __init__(self) -> None:
        """Begin with an empty directory."""
        self.time = 0
        """Calls so far."""
        self.moments: list[Any] = []
        """The progress after each number of calls, at the latest; the last is that of the end."""
        self.root = Node(1, 0, {})
        self.nodes = [self.root]
        self.renames: list[tuple[int, Node, Node]] = []
        """When, and from which directory to which."""

    def name(self, parent: Node, name: str, node: Node) -> None:
        """Note that a directory has a name now, perhaps instead of another file of that name."""
        parent.versions.append((self.time, {**parent.now, name: node}))

    def unname(self, parent: Node, name: str) -> None:
        """Note that a directory has a name no more."""
        parent.versions.append((self.time, {other: node for other, node in parent.now.items() if other != name}))

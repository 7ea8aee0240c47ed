"""A recording of how files were changed: the state of each file after each call, and its syncs.

:mod:`.recorder` makes one of the calls that a driver makes in this process, :mod:`.traced` one of the system calls of
another process. :mod:`.losses` makes of it the trees that a disk may show after a loss of power.
"""

from __future__ import annotations

from typing import Any, NamedTuple

BLOCK = 4096
"""Bytes that the system loses, or keeps, as a whole when a sync fails."""


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
        self.lost: dict[int, bytes] = {}
        """What the disk has of blocks, by their numbers, that a failed sync has lost: no later sync stores them."""

    def fail(self, time: int) -> None:
        """Note a sync of a file that failed: the system takes what it could not store for stored."""
        old, new = self.may_be(time)[0][1].content, self.now.content
        for at in range(0, len(new), BLOCK):
            if new[at : at + BLOCK] != old[at : at + BLOCK]:
                self.lost.setdefault(at // BLOCK, old[at : at + BLOCK])

    def write_again(self, at: int, size: int) -> None:
        """Note a write: the next sync stores whole blocks."""
        for number in range(at // BLOCK, (at + size - 1) // BLOCK + 1) if size else ():
            self.lost.pop(number, None)

    def on_disk(self, content: bytes) -> bytes:
        """Return what the disk has after a sync of this content."""
        parts = [content[at : at + BLOCK] for at in range(0, len(content), BLOCK)]
        for number, old in self.lost.items():
            if number < len(parts):
                parts[number] = old[: len(parts[number])].ljust(len(parts[number]), b"\0")
        return b"".join(parts)

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

    def synced_at(self) -> list[int]:
        """Return after which numbers of calls something had just been synced."""
        return sorted({sync for node in self.nodes for sync in node.syncs})

    def name(self, parent: Node, name: str, node: Node) -> None:
        """Note that a directory has a name now, perhaps instead of another file of that name."""
        parent.versions.append((self.time, {**parent.now, name: node}))

    def unname(self, parent: Node, name: str) -> None:
        """Note that a directory has a name no more."""
        parent.versions.append((self.time, {other: node for other, node in parent.now.items() if other != name}))

"""Directories that are known to be durable: a tree of their names."""

from __future__ import annotations

LIMIT = 1024
"""Directories remembered; beyond that all are forgotten, and synced once more."""


class _Node:
    __slots__ = ("below", "inode")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.inode: int | None = None


class Remembered:
    """Paths of directories, each with its inode number. Threads share it: what one forgets, another may remember."""

    def __init__(self) -> None:
        self._top = _Node()
        self._count = 0

    def has(self, path: str) -> bool:
        """Tell whether a directory was remembered under this path; there may be another by now, or none."""
        return self._inode(path) is not None

    def knows(self, path: str, inode: int) -> bool:
        """Tell whether this directory was remembered under this path."""
        return self._inode(path) == inode

    def _inode(self, path: str) -> int | None:
        node: _Node | None = self._top
        for segment in path.split("/"):
            node = node.below.get(segment) if node else None
        return node.inode if node else None

    def remember(self, path: str, inode: int) -> None:
        """Remember a directory."""
        if self._count >= LIMIT:
            self._top, self._count = _Node(), 0
        node = self._top
        for segment in path.split("/"):
            node = node.below.setdefault(segment, _Node())
        self._count += node.inode is None
        node.inode = inode

    def forget(self, path: str) -> None:
        """Forget a directory and all below it."""
        *above, name = path.split("/")
        node: _Node | None = self._top
        for segment in above:
            node = node.below.get(segment) if node else None
        gone = node.below.pop(name, None) if node else None
        if gone is not None:
            self._count -= _size(gone)


def _size(node: _Node) -> int:
    return (node.inode is not None) + sum(map(_size, node.below.values()))

"""The side door of the stores that are files: the directory itself."""

from collections.abc import Iterator
from pathlib import Path

from layerstore.keys import is_key


class Files:
    """Looks at a directory."""

    def __init__(self, root: Path) -> None:
        """Look below a root, which is made."""
        self.root = root
        root.mkdir()

    def read(self, key: str) -> bytes | None:
        """Return what is in a file."""
        path = self.root / key
        return path.read_bytes() if path.is_file() else None

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield every file's path that is a key."""
        for path in (self.root / prefix).rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and not path.is_symlink() and is_key(key):
                yield key

    def left(self) -> list[Path]:
        """Return all that there is, but for the directory of drafts."""
        return [path for path in self.root.rglob("*") if path.name != ".layerstore"]

"""The bytes at the end of a draft that are not yet a block."""

from __future__ import annotations

from io import BytesIO


class Tail:
    """Bytes that grow until they are a block, which they become without a copy: it is large."""

    def __init__(self) -> None:
        """Begin with none."""
        self._buffer = BytesIO()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Write over and behind what is there; ``at`` is not beyond the end."""
        self._buffer.seek(at)
        self._size = max(self._size, at + self._buffer.write(data))

    def cut(self, size: int) -> None:
        """Keep at most ``size`` bytes."""
        if size < self._size:
            self._buffer.truncate(size)
            self._size = size

    def gathered(self) -> bytes:
        """Return everything: the buffer itself, which is copied only if it is written to again."""
        return self._buffer.getvalue()

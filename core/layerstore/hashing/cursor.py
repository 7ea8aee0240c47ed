"""The hash cursor: the hash of an upload's first bytes, and positions from which hashing can go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import cycle
from typing import Final

from layerstore.digest import Digest
from layerstore.hashing import sha256
from layerstore.hashing.sha256 import Hasher
from layerstore.threads.lanes import Lane, Task

BLOCK: Final = 1 << 20
"""Bytes that are copied, hashed and written at a time."""

GATHER: Final = 64 << 10
"""Bytes of small writes gathered before they are hashed: a call of the hash costs as much as hashing 1 to 2 KiB."""

OVERLAP: Final = 256 << 10
"""Writes of at least this many bytes are hashed in another thread; for smaller ones that costs more than it saves."""

BACKLOG: Final = 3
"""Blocks that hashing may lag behind."""

MARKS: Final = 64
"""The most states that are kept to go back to. If there are more, every second one is dropped, except the last 16."""

RECENT: Final = 16


def buffers() -> Iterator[memoryview]:
    """Yield buffers of up to a block, small ones first; a buffer is reused once hashing can no longer be reading it.

    Each is made when it is first needed, so a stream of a few KiB takes only a few KiB.
    """
    yield from (memoryview(bytearray(size)) for size in (16 << 10, 64 << 10, 256 << 10))
    made = []
    for _ in range(BACKLOG + 1):
        made.append(memoryview(bytearray(BLOCK)))
        yield made[-1]
    yield from cycle(made)


class HashCursor:
    """SHA-256 of an upload's contiguous prefix, up to :attr:`offset`, with marks to go back to.

    The caller gives it only bytes that the upload has stored, or is storing, and cuts it back if storing fails. Bytes
    given to :meth:`start` must not change until :meth:`settle` has returned.
    """

    def __init__(self, marks: Iterable[tuple[int, Hasher]] = ()) -> None:
        """Go on from the last of ``marks``, pairs of an offset in bytes and the state there, in ascending order."""
        self._marks = [(0, sha256.new()), *marks]
        self._hashed = 0
        self._pending = bytearray()
        self._running: deque[Task] = deque()
        self._lane = Lane()
        self._go_back()

    @property
    def offset(self) -> int:
        """Bytes from the start that are covered: hashed, or about to be hashed."""
        return self._hashed + len(self._pending)

    def feed(self, data: bytes | memoryview) -> None:
        """Cover a few more bytes; they are copied."""
        self._pending += data
        if len(self._pending) >= GATHER:
            self._absorb()

    def start(self, data: bytes | memoryview) -> None:
        """Begin to cover a block of bytes in another thread, ``BACKLOG`` - 1 earlier ones unfinished at most."""
        self._absorb()
        if len(self._running) >= BACKLOG:
            self._wait(BACKLOG - 1)
        end = self._hashed + len(data)
        self._running.append(self._lane.add(partial(self._hash, data, end)))
        self._hashed = end

    def settle(self) -> None:
        """Wait until everything covered is hashed."""
        self._wait()
        self._absorb()

    def cut(self, offset: int) -> None:
        """Go back to the nearest mark at or below ``offset``, if more than that is covered."""
        self._wait()
        if offset >= self._hashed:
            del self._pending[offset - self._hashed :]
            return
        while self._marks[-1][0] > offset:
            self._marks.pop()
        self._go_back()

    def marks(self) -> list[tuple[int, bytes]]:
        """Return offsets and exported states, the last at :attr:`offset`; none if states cannot be exported."""
        self.settle()
        return [(offset, state.export()) for offset, state in self._marks[1:] if state.exportable]

    def digest(self) -> Digest:
        """Return the digest of the bytes covered."""
        self.settle()
        return Digest("sha256", self._hasher.hexdigest())

    def _go_back(self) -> None:
        """Go on from the last mark."""
        self._pending.clear()
        self._hashed, state = self._marks[-1]
        self._hasher = state.copy()

    def _wait(self, running: int = 0) -> None:
        """Wait until at most ``running`` blocks are not hashed yet. If one failed, nothing is covered any more."""
        failure: BaseException | None = None
        while len(self._running) > (running if failure is None else 0):
            failure = self._running[0].wait() or failure
            self._running.popleft()
        if failure is not None:
            del self._marks[1:]
            self._go_back()
            raise failure

    def _absorb(self) -> None:
        """Hash the gathered bytes of small writes."""
        if self._pending:
            self._wait()
            self._hasher.update(self._pending)
            self._hashed += len(self._pending)
            self._pending.clear()
            self._mark(self._hashed)

    def _hash(self, data: bytes | memoryview, end: int) -> None:
        self._hasher.update(data)
        self._mark(end)

    def _mark(self, offset: int) -> None:
        self._marks.append((offset, self._hasher.copy()))
        if len(self._marks) > MARKS:
            self._marks[1:-RECENT] = self._marks[1:-RECENT:2]

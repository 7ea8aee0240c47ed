"""Writing: into a draft, which a commit makes the object (clauses W1 to W9).

The blocks of a draft lie one after the other. Behind the last one is the tail, which grows until it is a block. To
write to a block again, the draft opens it: it copies the block into memory, changes it there, and stages it under a new
id. Only one block is open at a time, and only bytes that were not overwritten are read back.

Staged blocks cannot be read back from the service before a commit. If the bytes of such a block are not in memory, the
block is committed unseen first (``fence.Hold.keep_unseen``): behind the published bytes, where nobody looks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from layerstore.driver import Writer
from layerstore.errors import BackendUnavailableError, DriverError, NoSpaceError, UnsupportedOperationError
from layerstore.threads.pool import Pool
from layerstore_drivers.azure.blocks import MAX_BLOCKS, Block, BlockIDs, Stager, Tail, block_size, committed

if TYPE_CHECKING:
    from layerstore_drivers.azure.fence import Hold

T = TypeVar("T")

COPIED = 2
"""Blocks that are in memory while an open one is copied."""


class AzureWriter(Writer):
    """Stages blocks while it is written to, and commits them when it is flushed."""

    def __init__(self, hold: Hold, pool: Pool, block_size: int) -> None:
        """Write to a key."""
        super().__init__(hold.key, (hold.found.size or 0) if hold.found else 0, hold.version)
        self._hold = hold
        self._block_size = block_size
        self._stager = Stager(pool, lambda name, data: hold.blobs.stage(hold.key, name, data))
        self._draft: Draft | None = None
        self._changed = hold.version is None

    def write_at(self, offset: int, data: memoryview) -> None:
        """Gather the bytes, and stage the blocks that are full."""
        self._persisting(lambda: self._write(offset, data))

    def publish(self) -> str:
        """Commit; if there is nothing new, see that nobody else has done anything.

        Raises:
            FencedError: somebody has.
        """
        return self._persisting(self._publish)

    def _persisting(self, act: Callable[[], T]) -> T:
        """Call ``act``; repeat it if another key was in the way and is gone."""
        try:
            return act()
        except UnsupportedOperationError:
            if not self._hold.regain():
                self._hold.check_refused()  # fenced, if another program has put another kind of blob there
                raise
        return act()

    def _write(self, offset: int, data: memoryview) -> None:
        draft = self._drafted()
        self._changed = True
        draft.write(offset, data)

    def _publish(self) -> str:
        if not self._changed:
            self._hold.check()
        else:
            self._drafted().publish()
            self._changed = False
        return self._hold.version or ""

    def release(self) -> None:
        """Forget unpublished bytes: the service drops blocks that nobody commits."""
        stager = getattr(self, "_stager", None)
        if stager:
            stager.forget()
        self._draft = None

    def _drafted(self) -> Draft:
        """Return the draft, as long as the writer; a write that failed half way may have left more."""
        if self._draft is None:
            self._draft = Draft(self._hold, self._stager, self._block_size)
        self._draft.cut(self.size)
        return self._draft


class _Open:
    """A block being changed: its place, and which of its bytes are written, in one run."""

    def __init__(self, number: int, size: int, start: int) -> None:
        self.number = number
        self.data = bytearray(size)
        self.start = self.stop = start


class Draft:
    """The bytes of one writer, from the first write on."""

    def __init__(self, hold: Hold, stager: Stager, first: int) -> None:
        """Begin with the published bytes; ``first`` is the size of a block at offset 0."""
        self._hold = hold
        self._stager = stager
        self._first = first
        listed = hold.blocks()
        self._ids = BlockIDs(frozenset(name for name, _ in listed))
        self._blocks: list[Block] = []
        self._starts: list[int] = []
        self._tail = Tail()
        self._tail_start = 0
        self._open: _Open | None = None
        self._zeros: dict[int, Block] = {}
        self._kept: list[Block] = []
        self._unsure = False  # while it changes, and after a change that was interrupted
        for block in committed(listed, hold.found, first) if hold.found else ():
            self._append(block)
        hold.published = list(self._blocks)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._tail_start + len(self._tail)

    def write(self, offset: int, data: memoryview) -> None:
        """Take the bytes; beyond the end, after zeros."""
        self._stager.admit()
        with self._changing():
            if offset > self.size:
                self._extend(offset - self.size)
            done = 0
            while done < len(data):
                at = offset + done
                write = self._write_block if at < self._tail_start else self._write_tail
                done += write(at, data[done:])

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change the draft in several steps. If another exception than the contract's comes in between, it is lost.

        Raises:
            BackendUnavailableError: it is lost.
        """
        if self._unsure:
            detail = "an earlier write or flush was interrupted, and what it did is unknown"
            raise BackendUnavailableError(self._hold.key, detail)
        self._unsure = True
        try:
            yield
        except DriverError:
            self._unsure = False
            raise
        self._unsure = False

    def cut(self, size: int) -> None:
        """Drop the bytes beyond ``size``: a failed write may have left them."""
        if size >= self.size:
            return
        with self._changing():
            self._seal()
            if size < self._tail_start:
                number = bisect_right(self._starts, size) - 1
                kept = self._bytes_of(self._blocks[number])[: size - self._starts[number]]
                self._tail_start = self._starts[number]
                del self._blocks[number:], self._starts[number:]
                self._tail = Tail()
                self._tail.write(0, kept)
            self._tail.cut(size - self._tail_start)

    def publish(self) -> str:
        """Send everything to the service, make it the object, and return its version.

        Raises:
            NoSpaceError: more blocks than a blob may have.
            FencedError: the key is no longer held.
        """
        with self._changing():
            self._seal()
            last = self._finish_tail()
            self._name(self._blocks)
            self._check_count(self._blocks)
        self._stager.settle(last)
        self._zeros = {block.size: block for block in self._blocks if block.zeros}  # a commit drops all others
        version = self._hold.publish(self._blocks)
        self._drop_bytes()
        return version

    def _check_count(self, blocks: Sequence[Block]) -> None:
        if len(blocks) > MAX_BLOCKS:
            raise NoSpaceError(self._hold.key, f"{len(blocks)} blocks, a blob has at most {MAX_BLOCKS}")

    def _append(self, block: Block) -> None:
        self._blocks.append(block)
        self._starts.append(self._tail_start)
        self._tail_start += block.size

    def _new(self, data: bytes) -> Block:
        return Block(len(data), self._ids.new(), data)

    def _write_tail(self, at: int, data: memoryview) -> int:
        size = block_size(self._tail_start, self._first)
        position = at - self._tail_start
        part = data[: size - position]
        if len(part) == size:  # a whole block need not be gathered
            self._tail = Tail()
            self._send_tail(bytes(part))
        else:
            self._tail.write(position, part)
            self._send_full_tail(size)
        return len(part)

    def _send_full_tail(self, size: int) -> None:
        if len(self._tail) >= size:
            data = self._tail.gathered()
            self._tail = Tail()
            self._send_tail(data)

    def _send_tail(self, data: bytes) -> None:
        block = self._new(data)
        self._append(block)
        self._stager.submit(block)

    def _extend(self, count: int) -> None:
        """Add zeros: to the tail, and then in blocks that are all the same one."""
        while count > 0:
            size = block_size(self._tail_start, self._first)
            part = min(count, size - len(self._tail))
            if part == size:
                self._append(self._zero_block(size))
            else:
                self._tail.write(len(self._tail), bytes(part))
                self._send_full_tail(size)
            count -= part

    def _zero_block(self, size: int) -> Block:
        if size not in self._zeros:
            self._zeros[size] = Block(size, self._ids.new(), bytes(size), zeros=True)
            self._stager.submit(self._zeros[size])
        return self._zeros[size]

    def _write_block(self, at: int, data: memoryview) -> int:
        number = bisect_right(self._starts, at) - 1
        size, start = self._blocks[number].size, at - self._starts[number]
        part = data[: size - start]
        opened = self._opened(number, size, start, start + len(part))
        opened.data[start : start + len(part)] = part
        opened.start, opened.stop = min(opened.start, start), max(opened.stop, start + len(part))
        return len(part)

    def _opened(self, number: int, size: int, start: int, stop: int) -> _Open:
        """Open a block to be written from ``start`` to ``stop``, so that all written bytes of it are one run."""
        if self._open is None or self._open.number != number:
            self._seal()
            self._stager.leave(1)
            self._open = _Open(number, size, start)
        elif start > self._open.stop or stop < self._open.start:
            self._complete(self._open)
        return self._open

    def _complete(self, opened: _Open) -> None:
        """Read the bytes that were not overwritten; those of a new block are zeros."""
        size, block = len(opened.data), self._blocks[opened.number]
        if (opened.start, opened.stop) != (0, size) and not block.zeros:
            self._stager.leave(COPIED)
            old = memoryview(self._bytes_of(block))
            opened.data[: opened.start] = old[: opened.start]
            opened.data[opened.stop :] = old[opened.stop :]
        opened.start, opened.stop = 0, size

    def _seal(self) -> None:
        """Stage the open block."""
        if self._open is None:
            return
        self._complete(self._open)
        self._stager.leave(COPIED)
        opened, self._open = self._open, None
        block = self._new(bytes(opened.data))
        self._blocks[opened.number] = block
        self._stager.submit(block)

    def _finish_tail(self) -> Block | None:
        """Make a block of the tail, and of the short blocks before it that are not longer; return it.

        So the sizes of short blocks at the end always fall, as do the digits of a number that is counted up: there are
        few of them, and a byte is stored again only when its block at least doubles.
        """
        if not self._tail:
            return None
        first, start = len(self._blocks), self._tail_start
        while first and self._joins(self._blocks[first - 1], self.size - start, self._starts[first - 1]):
            first -= 1
            start = self._starts[first]
        joined = [self._bytes_of(block) for block in self._blocks[first:]]
        block = self._new(b"".join((*joined, self._tail.gathered())))  # of one it makes no copy
        del self._blocks[first:], self._starts[first:]
        self._tail, self._tail_start = Tail(), start
        block.keep = block.size < self._first
        self._kept.append(block)
        self._append(block)
        return block

    def _joins(self, block: Block, behind: int, start: int) -> bool:
        return block.size <= behind and block.size + behind <= block_size(start, self._first)

    def _bytes_of(self, block: Block) -> bytes:
        data = block.data  # staging in another thread may take it away
        if data is not None:
            return data
        if block.zeros:
            return bytes(block.size)
        if block.at is None:
            self._commit_unseen()
        return self._hold.read(block)

    def _commit_unseen(self) -> None:
        """Make every block readable: commit those that are published, and behind them all others."""
        published = self._hold.published
        known = set(published)
        others = [block for block in dict.fromkeys((*self._blocks, *self._zeros.values())) if block not in known]
        self._name((*published, *others))
        self._check_count((*published, *others))
        self._stager.settle()
        self._hold.keep_unseen(others)

    def _name(self, blocks: Iterable[Block]) -> None:
        """Store bytes as blocks that another program, or a put, has stored without."""
        for block in blocks:
            if not block.id:
                block.data = self._bytes_of(block)
                block.id = self._ids.new()
                self._stager.submit(block)

    def _drop_bytes(self) -> None:
        """Keep in memory only the last blocks, as far as they are short: the next tail may join them."""
        room, kept = self._first, []
        for block in reversed(self._blocks):
            room -= block.size
            if room < 0:
                break
            kept.append(block)
        for block in self._kept:
            if block not in kept:
                block.data = None
        self._kept = [block for block in kept if block.data is not None]

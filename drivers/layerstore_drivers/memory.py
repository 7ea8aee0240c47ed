"""The reference driver: everything in this process's memory, as fast as the memory bus allows.

``memory://name`` is one store for the whole process, and ``memory:`` is a new store at every opening. Nothing outlives
the process.

An object is a mapping from block numbers to blocks of up to 1 MiB, each holding the object's bytes from
``number * BLOCK`` on. If a block is missing or ends early, the bytes there are zeros. So a gap costs nothing, and a
small object costs its own size.

A published version is never changed and never copied. Versions, readers and writers share blocks, by one rule: a block
never changes its length, nor a byte that lies within a version that holds it. So a writer copies a published block
before it changes it, with one exception: beyond the published end it fills the spare room of its own last block, which
no version shows. Otherwise, appending and flushing in turn would copy half a block at every flush.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from layerstore.driver import Capabilities, Driver, Reader, Stat, Writer
from layerstore.errors import FencedError, InvalidOffsetError, InvalidURLError, NoSpaceError, PathNotFoundError
from layerstore.hookspecs import hookimpl

if TYPE_CHECKING:
    from layerstore.url import StoreURL

BLOCK = 1 << 20
"""Largest block, in bytes: what is copied at most when one published byte is changed."""

_ZEROS = memoryview(bytes(BLOCK))
"""The bytes of a gap; nothing writes to them, so they cost no memory until they are read."""

_versions = itertools.count(1)
"""One count for all stores: no version is ever used twice, even if an object is deleted and made again."""


@dataclass(frozen=True, slots=True)
class _Version:
    """One published version of one object."""

    blocks: Mapping[int, bytes | bytearray | memoryview]
    size: int
    modified: datetime
    version: str

    @classmethod
    def now(cls, blocks: Mapping[int, bytes | bytearray | memoryview], size: int) -> Self:
        return cls(blocks, size, datetime.now(UTC), str(next(_versions)))


class _Store:
    """The store that all drivers with one name share. Everything in it is read and changed under ``lock``.

    A thread that is interrupted there, as by Ctrl-C, has fenced before it has changed anything, and has lost no bytes.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.objects: dict[str, _Version] = {}
        # Those of all objects, in order: a listing jumps from child to child. Others are of an interrupted thread.
        self.keys: list[str] = []
        # The one writer of each key that is not fenced. Weak, so that a writer let go of leaves nothing behind.
        self.owners: WeakValueDictionary[str, Writer] = WeakValueDictionary()

    def find(self, key: str) -> _Version:
        found = self.objects.get(key)
        if found is None:
            raise PathNotFoundError(key)
        return found

    def replace(self, key: str, version: _Version) -> None:
        at = bisect_left(self.keys, key)
        if self.keys[at : at + 1] != [key]:
            self.keys.insert(at, key)
        self.objects[key] = version

    def remove(self, first: int, last: int) -> None:
        for key in self.keys[first:last]:
            self.objects.pop(key, None)
        del self.keys[first:last]

    def child(self, below: str, start: str) -> str | None:
        """Return the first child of ``below``, which is empty or ends with a slash, that is not before ``start``."""
        at = bisect_left(self.keys, start)
        while at < len(self.keys) and self.keys[at] not in self.objects:
            at += 1
        if at == len(self.keys) or not self.keys[at].startswith(below):
            return None
        key = self.keys[at]
        return key[: key.find("/", len(below)) + 1] or key


_named: dict[str, _Store] = {}
"""The stores that have a name, for as long as the process lives."""


class MemoryReader(Reader):
    """Reads one published version, which stays readable even if the object is changed or deleted (clause R4)."""

    def __init__(self, key: str, version: _Version, offset: int) -> None:
        """Open ``version`` at ``offset``, in bytes."""
        super().__init__(key, version.size, version.version, offset)
        self._blocks = version.blocks

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill the whole buffer."""
        done = 0
        while done < len(buffer):
            number, start = divmod(offset + done, BLOCK)
            wanted = min(BLOCK - start, len(buffer) - done)
            part = memoryview(self._blocks.get(number, b""))[start : start + wanted] or _ZEROS[:wanted]
            buffer[done : done + len(part)] = part
            done += len(part)
        return done

    def release(self) -> None:
        """Let go of the blocks."""
        self._blocks = {}


class MemoryWriter(Writer):
    """Writes to blocks of its own, and hands them over when it publishes."""

    def __init__(self, store: _Store, key: str, opened: _Version | None) -> None:
        """Open the ``opened`` version, or a new object."""
        super().__init__(key, opened.size if opened else 0, opened.version if opened else None)
        self._store = store
        self._blocks = dict(opened.blocks) if opened else {}
        self._private: set[int] = set()  # blocks that no version holds
        self._tail = -1  # the block of our making that the last version ends in, ...
        self._published = self.size  # ... to be written from here on
        self._reach = self.size  # of all writes, also of those that failed, or were interrupted behind their last byte
        self._changed = opened is None

    def write_at(self, offset: int, data: memoryview) -> None:
        """Accept all of the data, or nothing if there is no memory for it.

        Raises:
            NoSpaceError: out of memory.
        """
        self._cut()
        self._changed, self._reach = True, max(self._reach, offset + len(data))
        try:
            if offset > self.size:
                self._clear_tail()
            done = 0
            while done < len(data):
                number, start = divmod(offset + done, BLOCK)
                part = data[done : done + BLOCK - start]
                self._write_block(number, start, part)
                done += len(part)
        except MemoryError as error:
            self._cut()
            raise NoSpaceError(self.key, "out of memory") from error

    def _write_block(self, number: int, start: int, part: memoryview) -> None:
        block = self._blocks.get(number, b"")
        if len(part) == BLOCK and isinstance(part.obj, bytes):  # which cannot change: kept, and not copied
            self._blocks[number] = part
            self._private.discard(number)
            self._tail = -1 if number == self._tail else self._tail
        elif start + len(part) <= len(block) and self._is_writable(number, start):
            memoryview(block)[start : start + len(part)] = part
        else:
            self._blocks[number] = self._rebuilt(number, start, part)
            self._private.add(number)

    def _is_writable(self, number: int, start: int) -> bool:
        return number in self._private or (number == self._tail and number * BLOCK + start >= self._published)

    def _rebuilt(self, number: int, start: int, part: memoryview) -> bytearray:
        """Return a new block: the bytes of the old one, overlaid with ``part`` from ``start`` on."""
        kept = memoryview(self._blocks.get(number, b""))
        stop = start + len(part)
        # A block that grows, grows to twice its size, so that a byte is copied about twice however small the writes. A
        # large object's next block is whole from the start.
        room = 0 if stop <= len(kept) else BLOCK if number else min(BLOCK, 2 * len(kept))
        if start == 0 and stop >= max(len(kept), room):
            return bytearray(part)
        spare = _ZEROS[: max(0, room - stop)]
        # One allocation, and each byte written once.
        return bytearray().join((kept[:start], _ZEROS[: max(0, start - len(kept))], part, kept[stop:], spare))

    def _clear_tail(self) -> None:
        """Fill the last block with zeros beyond the end, before that room becomes part of the object.

        Until then it is spare room. It may hold bytes of a failed write, or another writer may write to it.
        """
        number, end = divmod(self.size, BLOCK)
        spare = len(self._blocks.get(number, b"")) - end
        if spare > 0:
            self._write_block(number, end, _ZEROS[:spare])

    def _cut(self) -> None:
        """Drop the blocks beyond the end, which only a write has that was not accepted."""
        if self._reach > self.size:
            for number in [number for number in self._blocks if number * BLOCK >= self.size]:
                del self._blocks[number]
            self._reach = self.size

    def publish(self) -> str:
        """Hand the blocks over to a new version, unless nothing has changed."""
        self._cut()
        blocks = dict(self._blocks) if self._changed else {}
        with self._store.lock:
            if self._store.owners.get(self.key) is not self:
                raise FencedError(self.key)
            if not self._changed:
                return self._store.objects[self.key].version
            version = _Version.now(blocks, self.size)
            self._hand_over()  # first: interrupted in between, it must not go on writing to what others see
            self._store.replace(self.key, version)
        self._changed = False
        return version.version

    def _hand_over(self) -> None:
        last = self.size // BLOCK
        self._tail = last if last in self._private or last == self._tail else -1
        self._private.clear()
        self._published = self.size

    def release(self) -> None:
        """Let go of the blocks. Takes no lock: it may be a collection, in a thread that holds it."""
        self._blocks = {}


class MemoryDriver(Driver):
    """Objects in memory. Every method is one step under the store's lock, and copies no object's bytes there."""

    contract_version = "1.0"
    capabilities = Capabilities(nested_keys=True, shared=False, durable=False)

    def __init__(self) -> None:
        """Make a store of its own."""
        self._store = _Store()

    @classmethod
    def open(cls, url: StoreURL, **_options: Any) -> Self:  # noqa: ANN401  (as Driver.open)
        """Open the process's store of the URL's host name, or a new one that nobody else can open.

        Raises:
            InvalidURLError: the URL has a path.
        """
        if url.path:
            raise InvalidURLError(str(url), "expected memory://name, or memory: for a store of its own; it has no path")
        driver = cls()
        if url.host:
            driver._store = _named.setdefault(url.host, driver._store)  # one step: two threads open one store
        return driver

    def open_reader(self, key: str, offset: int = 0) -> MemoryReader:
        """Read the version published last."""
        with self._store.lock:
            version = self._store.find(key)
        if offset > version.size:
            raise InvalidOffsetError(key, f"offset {offset} of {version.size} bytes")
        return MemoryReader(key, version, offset)

    def open_writer(self, key: str) -> MemoryWriter:
        """Open the version published last, or a new object, and own the key."""
        with self._store.lock:
            writer = MemoryWriter(self._store, key, self._store.objects.get(key))
            self._store.owners[key] = writer
        return writer

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data`` itself, in slices."""
        whole = memoryview(data)
        blocks = {start // BLOCK: whole[start : start + BLOCK] for start in range(0, len(whole), BLOCK)}
        with self._store.lock:
            self._store.owners.pop(key, None)
            self._store.replace(key, _Version.now(blocks, len(whole)))

    def stat(self, key: str) -> Stat:
        """Return the properties of the version published last."""
        with self._store.lock:
            version = self._store.find(key)
        return Stat(version.size, version.modified, version.version)

    def list(self, prefix: str) -> Iterator[str]:
        """Look up each child only when it is asked for, and skip all that lies below the child before."""
        below = start = f"{prefix}/" if prefix else ""
        while True:
            with self._store.lock:
                child = self._store.child(below, start)
            if child is None:
                return
            yield child
            start = _after(child)

    def move(self, source: str, target: str, *, version: str | None = None) -> None:
        """Put the blocks under another key; the target gets a version that no object had before."""
        with self._store.lock:
            moved = self._store.find(source)
            if version not in (None, moved.version):
                raise FencedError(source, f"at version {moved.version}, not {version}")
            self._store.owners.pop(source, None)
            self._store.owners.pop(target, None)
            self._store.replace(target, replace(moved, version=str(next(_versions))))
            at = bisect_left(self._store.keys, source)
            self._store.remove(at, at + 1)

    def delete(self, key: str) -> None:
        """Drop the key and the run of keys below it, and fence writers that have published nothing, too."""
        below = f"{key}/"
        with self._store.lock:
            for owned in [owned for owned in self._store.owners if f"{owned}/".startswith(below)]:
                self._store.owners.pop(owned, None)
            keys = self._store.keys
            at = bisect_left(keys, key)
            self._store.remove(at, at + (keys[at : at + 1] == [key]))
            self._store.remove(bisect_left(keys, below), bisect_left(keys, _after(below)))


def _after(child: str) -> str:
    """Return a text that comes after the child, and after all below it if it is a prefix; before any other child."""
    return child[:-1] + "0" if child.endswith("/") else child + "\0"  # 0 follows the slash


@hookimpl
def layerstore_driver() -> type[Driver]:
    """Answer to the scheme ``memory``."""
    return MemoryDriver

"""A model of a few objects under one driver: what each holds, which versions it had, and what its handles must do."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from layerstore import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore_conformance.kit.bulk import bulk
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer
    from layerstore_conformance.engine.context import Context

KEYS: Final = ("a/one", "a/two", "a-one", "b")

SPOTS: Final = (1, 511, 4096, 65_536, 1 << 20, 3 << 20)
"""Bytes: sizes and offsets are near multiples of these, or small."""


@dataclass
class Written:
    """A writer that nothing has fenced, and what it holds."""

    writer: Writer
    data: bytearray


@dataclass
class Known:
    """All that is known of one key."""

    data: bytes | None = None
    stat: Stat | None = None
    versions: dict[str, bytes] = field(default_factory=dict)


class Objects:
    """Does what a random generator decides, and checks after each step that nothing but that has happened."""

    def __init__(self, ctx: Context, seed: int) -> None:
        """Begin with no object."""
        self.ctx = ctx
        self.random = random.Random(seed)
        self.known = {key: Known() for key in KEYS}
        self.owners: dict[str, Written] = {}
        self.fenced: list[Writer] = []
        self.readers: list[tuple[Reader, bytes]] = []
        self.payloads = 0
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        """Do one thing to one key, and check every key."""
        acts: tuple[tuple[Callable[[str], None], int], ...] = (
            (self.put, 3),
            (self.open, 3),
            (self.write, 8),
            (self.flush, 5),
            (self.discard, 1),
            (self.flush_fenced, 1),
            (self.move, 2),
            (self.delete, 1),
            (self.read, 3),
        )
        act = self.random.choices([each for each, _ in acts], [weight for _, weight in acts])[0]
        key = self.random.choice(list(self.owners) if act in (self.write, self.flush) and self.owners else KEYS)
        self.ctx.step(f"{act.__name__} {key}")
        act(key)
        self.check()

    def check(self) -> None:
        """Check that every key is as it is known to be, through fresh eyes."""
        driver = self.ctx.driver
        for key, known in self.known.items():
            found = driver.find(key)
            assert (found is None) == (known.data is None), f"{key}: {found}, with {_size(known.data)}"
            assert found == known.stat, f"{key}: {known.stat} became {found}"

    def end(self) -> None:
        """Read everything, list everything, and let go of the handles."""
        there = sorted(key for key, known in self.known.items() if known.data is not None)
        assert self.ctx.stored() == there, f"{self.ctx.stored()} are listed instead of {there}"
        for key in there:
            self.ctx.expect(key, self.known[key].data or b"")
        for reader, data in self.readers:
            self._read(reader, data)
        for written in self.owners.values():
            written.writer.discard()

    def put(self, key: str) -> None:
        """Put other bytes, by one handle or another."""
        data = self._bytes(self._number())
        self._fence(key)
        self.random.choice([self.ctx.driver, self.ctx.driver, self.ctx.open()]).put(key, data)
        self._changed(key, data)

    def open(self, key: str) -> None:
        """Open a writer, which fences the one before."""
        self._fence(key)
        known = self.known[key]
        writer = self.ctx.driver.open_writer(key)
        size, version = len(known.data or b""), known.stat.version if known.stat else None
        assert (writer.size, writer.tell()) == (size, size), f"{key}: {writer.size} bytes instead of {size}"
        assert writer.version == version, f"{key}: opened at version {writer.version} instead of {version}"
        self.owners[key] = Written(writer, bytearray(known.data or b""))

    def write(self, key: str) -> None:
        """Write at the position, or anywhere; zeros, too."""
        if key not in self.owners:
            self.open(key)
        held = self.owners[key]
        if self.random.random() < 0.6:
            held.writer.seek(self._spot(len(held.data)))
        at, data = held.writer.tell(), self._bytes(self._number())
        if self.random.random() < 0.2:
            data = bytes(len(data))
        held.writer.write(data)
        if data:
            held.data[:] = held.data.ljust(at, b"\0")
            held.data[at : at + len(data)] = data
        assert held.writer.size == len(held.data), f"{key}: size {held.writer.size} instead of {len(held.data)}"

    def flush(self, key: str) -> None:
        """Publish what was written, or nothing new."""
        if key not in self.owners:
            return
        held, known = self.owners[key], self.known[key]
        held.writer.flush()
        if known.data is None or bytes(held.data) != known.data:
            self._changed(key, bytes(held.data))
        else:
            self._noticed(key)
        assert known.stat is not None
        assert held.writer.version == known.stat.version, f"{key}: the writer's version is not the visible one"

    def discard(self, key: str) -> None:
        """Give up what was written."""
        if key in self.owners:
            self.owners.pop(key).writer.discard()

    def flush_fenced(self, key: str) -> None:
        """Try to publish by a writer that was fenced."""
        del key
        if self.fenced:
            writer = self.random.choice(self.fenced)
            with suppress(FencedError):
                writer.write(self._bytes(700))
            with refused(FencedError):
                writer.flush()

    def move(self, key: str) -> None:
        """Move to another key, at no version, the right one, or a wrong one."""
        target = self.random.choice([each for each in KEYS if each != key])
        known, driver = self.known[key], self.ctx.driver
        if known.data is None or known.stat is None:
            with refused(PathNotFoundError):
                driver.move(key, target)
            return
        version = self.random.choice([None, known.stat.version, *sorted(known.versions)])
        if version not in (None, known.stat.version):
            with refused(FencedError):
                driver.move(key, target, version=version)
            return
        self._fence(key)
        self._fence(target)
        driver.move(key, target, version=version)
        self._changed(target, known.data)
        self._gone(key)

    def delete(self, key: str) -> None:
        """Delete a key, or a prefix."""
        below = key.partition("/")[0] if self.random.random() < 0.3 else key
        for each in KEYS:
            if f"{each}/".startswith(f"{below}/"):
                self._fence(each)
                self._gone(each)
        self.ctx.driver.delete(below)

    def read(self, key: str) -> None:
        """Open a reader and read a part; go on with one that was opened before."""
        data = self.known[key].data
        if data is None:
            with refused(PathNotFoundError):
                self.ctx.driver.open_reader(key)
        else:
            at = min(self._spot(len(data)), len(data))
            reader = self.ctx.driver.open_reader(key, at)
            self.ctx.same(reader.read(1000), data[at : at + 1000], f"{key} from {at}")
            self.readers.append((reader, data))
        if len(self.readers) > 4:
            self._read(*self.readers.pop(self.random.randrange(4)))

    def _read(self, reader: Reader, data: bytes) -> None:
        """Read anywhere by a reader: the bytes of when it was opened, or an error."""
        at = min(self._spot(len(data)), len(data))
        with reader:
            reader.seek(at)
            try:
                found = reader.read(70_000)
            except BackendUnavailableError:
                return
        self.ctx.same(found, data[at : at + 70_000], f"{reader.key} from {at}, by a reader that was opened before")

    def _fence(self, key: str) -> None:
        if key in self.owners:
            self.fenced = [*self.fenced[-3:], self.owners.pop(key).writer]

    def _changed(self, key: str, data: bytes) -> None:
        known = self.known[key]
        known.data = data
        self._noticed(key)
        assert known.stat is not None
        # An object that was moved away and comes back may have its version again: its bytes are the same.
        of = known.versions.setdefault(known.stat.version, hashlib.sha256(data).digest())
        assert of == hashlib.sha256(data).digest(), f"{key}: version {known.stat.version} again, of other bytes"

    def _noticed(self, key: str) -> None:
        """Take a new ``stat``: its size must be right, and its time must not go back."""
        known = self.known[key]
        found = self.ctx.driver.stat(key)
        assert found.size == _size(known.data), f"{key}: size {found.size} instead of {_size(known.data)}"
        known.stat = found

    def _gone(self, key: str) -> None:
        self.known[key].data = self.known[key].stat = None

    def _bytes(self, size: int) -> bytes:
        self.payloads += 1
        return bulk("objects", size + self.payloads % 97, self.ctx.seed)[self.payloads % 97 :]

    def _number(self) -> int:
        """Return a size: mostly a small one, at times near a multiple of something."""
        if self.random.random() < 0.6:
            return self.random.randrange(3000)
        unit = self.random.choice(SPOTS)
        return max(0, unit * self.random.choice((1, 1, 2)) + self.random.choice((-1, 0, 0, 1)))

    def _spot(self, size: int) -> int:
        """Return an offset: in the object, at its end, beyond it, near a multiple of something."""
        unit = self.random.choice(SPOTS)
        near = self.random.choice((0, size, size - unit, size + unit, unit, size // unit * unit, size // 2))
        return max(0, near + self.random.choice((-1, 0, 0, 1, 100)))


def _size(data: bytes | None) -> int | None:
    return None if data is None else len(data)

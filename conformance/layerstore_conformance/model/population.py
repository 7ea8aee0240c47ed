"""A model of a tree of small objects under several hands: drivers, threads and processes that act in turns.

Every hand must see what any other did, and a listing that one began must go on while the others change the tree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from layerstore import BackendUnavailableError, FencedError, InvalidOffsetError, PathNotFoundError
from layerstore.checked import CheckedDriver
from layerstore_conformance.kit.refusal import refused

if TYPE_CHECKING:
    from layerstore.driver import Reader, Stat, Writer
    from layerstore_conformance.engine.context import Context

T = TypeVar("T")

SEGMENTS: Final = ("a", "a-", "a.b", "a0", "A", "b", "b_", "+", "z", "zz", "07", "7", "-", "_")
"""Segments whose order is easily mistaken, and which a pattern, a number or another case may confuse."""

POOL: Final = 18
"""Keys of a tree."""

Hand = Callable[..., object]
"""Does something to a driver: it takes a function of the driver, and the function's other arguments."""


class Held(NamedTuple):
    """A writer that nothing has fenced, and what it holds."""

    writer: Writer
    data: bytearray


@dataclass
class Listing:
    """A listing in progress."""

    prefix: str
    children: Iterator[str]
    stayed: set[str]
    """The keys that were there ever since it began."""
    ever: set[str]
    """All keys that were there since then."""
    found: list[str] = field(default_factory=list)


@contextmanager
def hands(ctx: Context, count: int = 3) -> Iterator[list[Hand]]:
    """Yield some hands in this process: each has a handle and a thread of its own."""
    with ctx.handles(), ExitStack() as threads:
        yield [
            partial(_in_thread, threads.enter_context(ThreadPoolExecutor(1)), ctx.open() if number else ctx.driver)
            for number in range(count)
        ]


def _in_thread(thread: ThreadPoolExecutor, driver: CheckedDriver, work: Callable[..., T], *args: object) -> T:
    return thread.submit(work, driver, *args).result()


def listed(driver: CheckedDriver, prefix: str) -> list[str]:
    """List a prefix, at once."""
    return list(driver.list(prefix))


def scanned(driver: CheckedDriver, prefix: str) -> list[str]:
    """Scan a prefix, at once; leave out what a writer has taken and not published."""
    return [child for child in driver.scan(prefix) if isinstance(child, str)]


def written(driver: CheckedDriver, key: str, data: bytes) -> None:
    """Take a key over, and append to it."""
    with driver.open_writer(key) as writer:
        writer.write(data)


def moved(driver: CheckedDriver, source: str, target: str, version: str | None) -> None:
    """Move, at a version or at any."""
    driver.move(source, target, version=version)


def children_of(keys: Collection[str], prefix: str) -> list[str]:
    """Return what a listing of a prefix must yield."""
    below = f"{prefix}/" if prefix else ""
    rests = [key[len(below) :] for key in keys if key.startswith(below)]
    return sorted({below + rest.partition("/")[0] + ("/" if "/" in rest else "") for rest in rests})


def _is_nested(key: str, other: str) -> bool:
    return f"{key}/".startswith(f"{other}/") or f"{other}/".startswith(f"{key}/")


class Population:
    """Does what a random generator decides, by any hand, and checks that every hand sees just that."""

    def __init__(self, ctx: Context, seed: int, local: Sequence[Hand], elsewhere: Sequence[Hand] = ()) -> None:
        """Begin with no object. Hands that are elsewhere keep no handles."""
        self.ctx = ctx
        self.random = random.Random(seed)
        self.local, self.hands = local, [*local, *elsewhere]
        self.pool = self._pool(nested=ctx.capabilities.nested_keys)
        self.known: dict[str, tuple[bytes, Stat]] = {}
        self.versions: dict[tuple[str, str], bytes] = {}
        self.owners: dict[str, Held] = {}
        self.fenced: list[Writer] = []
        self.readers: list[tuple[Reader, bytes]] = []
        self.listings: list[Listing] = []

    def _pool(self, *, nested: bool) -> list[str]:
        """Return keys; half of those that may be nested lie right below another one."""
        keys: set[str] = set()
        while len(keys) < POOL:
            above = self.random.choice(sorted(keys)) if nested and keys and self.random.random() < 0.5 else ""
            segments = self.random.choices(SEGMENTS, k=1 if above else self.random.choice((1, 2, 2, 3)))
            key = "/".join([above, *segments]).lstrip("/")
            keys |= {key} if nested or not any(_is_nested(key, each) for each in keys) else set()
        return sorted(keys)

    def step(self) -> None:
        """Do one thing, and look at the keys that it may have changed, and at a few others."""
        acts: tuple[tuple[Callable[[str], None], int], ...] = (
            *((self.put, 4), (self.append, 2), (self.open, 2), (self.write, 4), (self.flush, 3), (self.discard, 1)),
            *((self.flush_fenced, 2), (self.move, 3), (self.delete, 1), (self.delete_prefix, 2), (self.refuse, 1)),
            *((self.read, 2), (self.begin_listing, 2), (self.go_on_listing, 5), (self.visit, 1)),
        )
        act = self.random.choices([each for each, _ in acts], [weight for _, weight in acts])[0]
        key = self._key(act)
        self.ctx.step(f"{act.__name__} {key}")
        act(key)
        for listing in self.listings:
            listing.stayed &= self.known.keys()
            listing.ever |= self.known.keys()
        for each in (key, self.random.choice(self.pool)):
            self._look(each)

    def _key(self, act: Callable[[str], None]) -> str:
        """Choose a key: mostly one that the act has something to do with."""
        likely = list(self.owners) if act in (self.write, self.flush, self.discard) else sorted(self.known)
        return self.random.choice(likely if likely and self.random.random() < 0.6 else self.pool)

    def _by(self, work: Callable[..., T], *args: object, local: bool = False) -> T:
        hand = self.random.choice(self.local if local else self.hands)
        result: T = hand(work, *args)  # type: ignore[assignment]  # a hand returns what the work does
        return result

    def _look(self, key: str) -> None:
        """Check that some hands find a key as it is known to be, and one lists what lies beside it, or below it."""
        expected = self.known[key][1] if key in self.known else None
        for hand in self.random.sample(self.hands, self.random.randrange(1, len(self.hands) + 1)):
            found = hand(CheckedDriver.find, key)
            assert found == expected, f"{key}: hand {self.hands.index(hand)} finds {found} instead of {expected}"
        self._look_below(self.random.choice((key, key.rpartition("/")[0])))

    def _look_below(self, prefix: str) -> None:
        found, wanted = self._by(self.random.choice((listed, scanned)), prefix), children_of(self.known.keys(), prefix)
        assert found == wanted, f"below {prefix!r}: {found} instead of {wanted}"

    def end(self) -> None:
        """Go on with every listing to its end, list and read everything, and let go of the handles."""
        while self.listings:
            self.go_on_listing("")
        for key in sorted({"", *(key.rpartition("/")[0] for key in self.pool)}):
            self._look_below(key)
        for key, (data, _) in self.known.items():
            self.ctx.same(self._by(CheckedDriver.get, key, 100_000), data, key)
        for reader, data in self.readers:
            self._read(reader, data)
        for held in self.owners.values():
            held.writer.discard()

    def put(self, key: str) -> None:
        """Put other bytes, none, or the same."""
        same = self.known[key][0] if key in self.known and self.random.random() < 0.2 else None
        data = self._bytes() if same is None else same
        self._fence(key)
        self._by(CheckedDriver.put, key, data)
        self._changed(key, data)

    def append(self, key: str) -> None:
        """Take a key over, append, and let go."""
        data = b"+" + self._bytes()
        self._fence(key)
        self._by(written, key, data)
        self._changed(key, (self.known[key][0] if key in self.known else b"") + data)

    def open(self, key: str) -> None:
        """Open a writer, which stays open, and fences the one before."""
        self._fence(key)
        data, stat = self.known.get(key, (b"", None))
        writer = self._by(CheckedDriver.open_writer, key, local=True)
        opened = (writer.size, writer.tell(), writer.version)
        expected = (len(data), len(data), stat.version if stat else None)
        assert opened == expected, f"{key}: a writer of {opened} instead of {expected}"
        self.owners[key] = Held(writer, bytearray(data))

    def write(self, key: str) -> None:
        """Write, at the end or anywhere."""
        if key not in self.owners:
            self.open(key)
        held = self.owners[key]
        at = self.random.choice((len(held.data), self.random.randrange(len(held.data) + 50)))
        data = self._bytes()
        held.writer.seek(at)
        self.random.choice(self.local)(lambda _: held.writer.write(data))
        if data:
            held.data[:] = held.data.ljust(at, b"\0")
            held.data[at : at + len(data)] = data

    def flush(self, key: str) -> None:
        """Publish what was written, or nothing new."""
        if key not in self.owners:
            return
        held = self.owners[key]
        self.random.choice(self.local)(lambda _: held.writer.flush())
        if key in self.known and self.known[key][0] == held.data:
            self._noticed(key, bytes(held.data))  # the same bytes, written anew: the version is free
        else:
            self._changed(key, bytes(held.data))
        assert held.writer.version == self.known[key][1].version, f"{key}: the writer's version is not the visible one"

    def discard(self, key: str) -> None:
        """Give up what was written: discard the writer, or let go of it."""
        if key in self.owners:
            held = self.owners.pop(key)
            if self.random.random() < 0.5:
                held.writer.discard()

    def flush_fenced(self, key: str) -> None:
        """Try to publish by a writer that was fenced."""
        del key
        if self.fenced:
            with refused(FencedError):
                self.random.choice(self.fenced).flush()

    def move(self, key: str) -> None:
        """Move to any other key, at no version, the right one, or a wrong one."""
        target = self.random.choice([each for each in self.pool if each != key])
        version = self.random.choice((None, self.known[key][1].version if key in self.known else "1", "wrong"))
        kind = PathNotFoundError if key not in self.known else FencedError if version == "wrong" else None
        if kind is not None:
            with refused(kind):
                self._by(moved, key, target, version)
            return
        data = self.known[key][0]
        self._fence(key)
        self._fence(target)
        self._by(moved, key, target, version)
        del self.known[key]
        self._changed(target, data)
        self._look(target)

    def delete(self, key: str) -> None:
        """Delete a key, and all below it, or one that is not there."""
        for each in self.pool:
            if f"{each}/".startswith(f"{key}/"):
                self._fence(each)
                self.known.pop(each, None)
        self._by(CheckedDriver.delete, key)

    def delete_prefix(self, key: str) -> None:
        """Delete something above a key."""
        segments = key.split("/")
        self.delete("/".join(segments[: self.random.randrange(len(segments)) + 1]))

    def refuse(self, key: str) -> None:
        """Ask for what is refused."""
        if key in self.known:
            with refused(InvalidOffsetError):
                self._by(CheckedDriver.open_reader, key, len(self.known[key][0]) + 1, local=True)
        else:
            with refused(PathNotFoundError):
                self._by(CheckedDriver.open_reader, key, local=True)

    def read(self, key: str) -> None:
        """Open a reader for later, and read by one that was opened before."""
        if key in self.known:
            data, stat = self.known[key]
            reader = self._by(CheckedDriver.open_reader, key, self.random.randrange(len(data) + 1), local=True)
            assert (reader.size, reader.version) == (stat.size, stat.version), f"{key}: a reader of another version"
            self.readers.append((reader, data))
        if len(self.readers) > 4:
            self._read(*self.readers.pop(self.random.randrange(4)))

    def _read(self, reader: Reader, data: bytes) -> None:
        at = reader.tell()
        with reader:
            try:
                found = reader.read()
            except BackendUnavailableError:
                return
        self.ctx.same(found, data[at:], f"{reader.key} from {at}, by a reader that was opened before")

    def begin_listing(self, key: str) -> None:
        """Begin to list some prefix."""
        segments = key.split("/")
        prefix = "/".join(segments[: self.random.randrange(len(segments))])
        if len(self.listings) < 4:
            children = self._by(CheckedDriver.list, prefix, local=True)
            listing = Listing(prefix, children, set(self.known), set(self.known))
            self.listings.append(listing)
            self._go_on(listing)

    def go_on_listing(self, key: str) -> None:
        """Ask a listing that was begun for its next child; at its end, check what it has found."""
        del key
        if self.listings:
            self._go_on(self.random.choice(self.listings))

    def _go_on(self, listing: Listing) -> None:
        child = self._by(lambda _: next(listing.children, None), local=True)
        if child is not None:
            assert listing.found[-1:] < [child], f"{child} after {listing.found}"
            listing.found.append(child)
            return
        self.listings.remove(listing)
        lost = [each for each in children_of(listing.stayed, listing.prefix) if each not in listing.found]
        more = sorted({*listing.found} - {*children_of(listing.ever, listing.prefix)})
        assert not lost, f"below {listing.prefix!r}, {lost} stayed, and were not listed: {listing.found}"
        assert not more, f"below {listing.prefix!r}, {more} were never there"

    def visit(self, key: str) -> None:
        """Put by a handle that was just opened, and close it."""
        data = self._bytes()
        self._fence(key)
        with self.ctx.handles():
            self.ctx.open().put(key, data)
        self._changed(key, data)

    def _fence(self, key: str) -> None:
        if key in self.owners:
            self.fenced = [*self.fenced[-5:], self.owners.pop(key).writer]

    def _changed(self, key: str, data: bytes) -> None:
        """Take a new ``stat``: a version that other bytes had must not come back."""
        self._noticed(key, data)
        version = self.known[key][1].version
        of = self.versions.setdefault((key, version), data)
        assert of == data, f"{key}: version {version} again, of other bytes"

    def _noticed(self, key: str, data: bytes) -> None:
        found = self._by(CheckedDriver.stat, key)
        assert found.size == len(data), f"{key}: size {found.size} instead of {len(data)}"
        self.known[key] = data, found

    def _bytes(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 1, 7, 7, 40, 40, 300)))

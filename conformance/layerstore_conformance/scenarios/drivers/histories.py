"""Histories: several handles use two keys, in turns or at once, and one order explains what each of them saw."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from layerstore import BackendUnavailableError, FencedError, PathNotFoundError
from layerstore_conformance.engine.scenario import scenario
from layerstore_conformance.kit.together import together
from layerstore_conformance.model.linearizable import History

if TYPE_CHECKING:
    from layerstore.checked import CheckedDriver
    from layerstore_conformance.engine.context import Context

GROUP = "concurrency"

KEYS = ("d/one", "d/two")

STEPS = 4
"""Operations of an actor in a history: every order of them all may have to be tried."""


class Actor:
    """Does what its random generator decides to two keys, through a handle, and keeps what it saw."""

    def __init__(self, ctx: Context, history: History, driver: CheckedDriver, number: int, seed: int) -> None:
        """Be number ``number`` of the history's actors."""
        self.ctx = ctx
        self.history = history
        self.driver = driver
        self.number = number
        self.random = random.Random(seed * 100 + number)
        self._values = iter(range(number * 1000 + 1, number * 1000 + 1000))  # its own: a value shows its writer

    def step(self) -> None:
        """Do one thing."""
        acts = (self.put, self.write, self.look, self.look, self.read, self.move, self.delete, self.list_keys)
        self.random.choice(acts)(self.random.choice(KEYS))

    def put(self, key: str) -> None:
        """Put a value of the actor's own: a value is the number of bytes."""
        value = next(self._values)
        data = self.ctx.payload(str(value)).read(value)
        _, *times = self.history.timed(lambda: self.driver.put(key, data))
        self.history.add(self.number, "write", key, value, *times)

    def write(self, key: str) -> None:
        """Write a value over a shorter one, and flush; a take-over by another actor is no failure."""
        value = 10_000 * (self.number + 1) + next(self._values)
        writer = self.driver.open_writer(key)
        try:
            if writer.size < value:
                writer.seek(0)
                writer.write(self.ctx.payload(str(value)).read(value))
                _, *times = self.history.timed(writer.flush)
                self.history.add(self.number, "write", key, value, *times)
        except FencedError:
            return
        finally:
            writer.discard()

    def look(self, key: str) -> None:
        """Ask for the size."""
        found, *times = self.history.timed(lambda: self.driver.find(key))
        self.history.add(self.number, "see", key, found.size if found else None, *times)

    def read(self, key: str) -> None:
        """Read the bytes, of one value whole."""
        try:
            data, *times = self.history.timed(lambda: self._bytes(key))
        except BackendUnavailableError:
            return  # clause R4: replaced meanwhile
        if data is not None:
            self.ctx.same(data, self.ctx.payload(str(len(data))).read(len(data)), key)
        self.history.add(self.number, "see", key, None if data is None else len(data), *times)

    def move(self, key: str) -> None:
        """Move the value seen under a key to the other key; it is no failure if another actor was quicker."""
        (target,) = set(KEYS) - {key}
        seen = self.driver.find(key)
        if seen is None:
            return
        try:
            _, *times = self.history.timed(lambda: self.driver.move(key, target, version=seen.version))
        except (FencedError, PathNotFoundError):
            return
        self.history.add(self.number, "take", key, seen.size, *times)
        self.history.add(self.number, "write", target, seen.size, *times)

    def delete(self, key: str) -> None:
        """Delete whatever is there."""
        _, *times = self.history.timed(lambda: self.driver.delete(key))
        self.history.add(self.number, "remove", key, None, *times)

    def list_keys(self, key: str) -> None:
        """List the keys, each for itself: while keys come and go, a listing is no snapshot (clause L4)."""
        found, *times = self.history.timed(lambda: list(self.driver.list(key.rpartition("/")[0])))
        for each in KEYS:
            self.history.add(self.number, "list", each, 1 if each in found else None, *times)

    def _bytes(self, key: str) -> bytes | None:
        try:
            with self.driver.open_reader(key) as reader:
                return reader.read()
        except PathNotFoundError:
            return None


@scenario(
    *("S1", "L4", "P1", "M2", "D1", "W6"),
    kills=("stat-cached", "listing-cached", "put-ignored-the-second-time"),
    rows=(50, 68),
)
def handles_in_turns_see_what_was_done_last(ctx: Context) -> None:
    """Two to eight handles use two keys in turns, and each sees what the others did before.

    Nodes of a cluster see each other's uploads only through the backend.
    """
    for seed in range(ctx.size(24)):
        history = History()
        ctx.driver.put("d/stays", b"")  # no prefix that comes and goes
        with ctx.handles():
            actors = [Actor(ctx, history, ctx.open(), number, ctx.seed + seed) for number in range(2 + seed % 7)]
            for _ in range(30):
                ctx.random.choice(actors).step()
        history.check()
        ctx.count("histories")
        ctx.driver.delete("d")


@scenario(
    "T1", "S1", "L4", "P1", "M2", "D1", "W6", kills=("stat-cached", "put-ignored-the-second-time"), rows=(119, 126)
)
def handles_at_once_see_one_order(ctx: Context) -> None:
    """Two to eight threads use two keys at once, and one order explains what each of them saw."""
    for seed in range(ctx.size({"quick": 10, "default": 40, "full": 1000}[ctx.profile])):
        history = History()
        ctx.driver.put("d/stays", b"")
        count = 2 + seed % 7
        with ctx.handles():
            handles = [ctx.driver] * count if seed % 2 else [ctx.open() for _ in range(count)]
            actors = [Actor(ctx, history, handles[each], each, ctx.seed + seed) for each in range(count)]
            together([partial(_steps, actor) for actor in actors])
        history.check()
        ctx.count("histories")
        ctx.driver.delete("d")


def _steps(actor: Actor) -> None:
    for _ in range(STEPS):
        actor.step()

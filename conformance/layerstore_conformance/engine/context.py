"""The context of a scenario: a store of its own, fresh handles on it, payloads, and sizes for the profile."""

from __future__ import annotations

import gc
import random
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from layerstore import LayerService, open_driver
from layerstore.checked import CheckedDriver
from layerstore_conformance.engine.liveness import Activity
from layerstore_conformance.harness import How, changed, making
from layerstore_conformance.kit.keys import ROOT, keys_below
from layerstore_conformance.kit.known import open_known
from layerstore_conformance.kit.littered import Littered, littering
from layerstore_conformance.kit.observed import Call, ObservedDriver
from layerstore_conformance.kit.payloads import Payload, expect_same
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.kit.requests import PLANTED
from layerstore_conformance.kit.together import in_another_thread, outcome_of
from layerstore_conformance.kit.unwritten import unwritten

if TYPE_CHECKING:
    from layerstore import Verify
    from layerstore.driver import Driver
    from layerstore_conformance.engine.defect import Wrap
    from layerstore_conformance.engine.profile import Profile
    from layerstore_conformance.harness import Harness

TRACE = 40
"""Driver calls kept for the report of a failure."""

FEW = 3
"""Handles that another thread calls in the end."""

SEEN = 200
"""Handles that are kept for :meth:`Context.others_may_call`."""

T = TypeVar("T")
Drawn = TypeVar("Drawn", int, str)


class Context:
    """One scenario's own store, in the backend of the driver under test."""

    def __init__(
        self,
        harness: Harness,
        *,
        seed: int = 0,
        profile: Profile = "default",
        wrap: Wrap | None = None,
        activity: Activity | None = None,
    ) -> None:
        """Open the driver; ``wrap`` goes in front of every handle, for the proof."""
        self._activity = activity or Activity()
        self.harness = harness
        self.seed = seed
        self.profile = profile
        self.random = random.Random(seed)
        self.prefix = f"{ROOT}/{uuid.uuid4().hex}"
        self.trace: deque[str] = deque(maxlen=TRACE)
        """The last driver calls, oldest first."""
        self.notes: list[str] = []
        """The steps that the scenario noted."""
        self.counts: Counter[str] = Counter()
        """The counts of the scenario: cut points, say."""
        self.calls = 0
        """Driver calls so far: on a remote backend, a request or more each."""
        self.opens = 0
        """Drivers opened so far: on a remote backend, a connection or more each."""
        self.unwritten: list[str] = []
        """The unwritten parts of the driver that the clean-up needed."""
        self._wrap = wrap
        self._things: dict[str, str] = {}
        self._opened: list[CheckedDriver] = []
        self._seen: deque[ObservedDriver] = deque(maxlen=SEEN)
        self.driver = self.open()
        """A handle on the store; other handles by :meth:`open`."""
        self.capabilities = self.driver.capabilities

    def open(self, *, observed: bool = True) -> CheckedDriver:
        """Open a fresh handle on the scenario's store: a change is checked through another handle than its own.

        Readers and writers of one that is not observed are the driver's own, and collected by themselves.
        """
        driver: Driver = self._new()
        scheme = driver.scheme if isinstance(driver, CheckedDriver) else type(driver).__name__
        if self._wrap is not None:
            driver = self._wrap(driver)
        if self._things:
            driver = Littered(driver, self._things)
        seen = self._observed(driver) if observed else driver
        front = CheckedDriver(PrefixedDriver(seen, self.prefix), scheme)
        self._opened.append(front)
        return front

    def reopen(self) -> None:
        """Close every driver of the scenario, let go of it, and open the store again: meanwhile nobody has it open."""
        while self._opened:
            self._opened.pop().close()
        self._seen.clear()
        del self.driver
        gc.unfreeze()  # what an earlier scenario has left in cycles may hold a driver, too
        gc.collect()
        self.driver = self.open()

    def lent(self) -> CheckedDriver:
        """Open a fresh handle that the context does not hold: it is collected when the scenario lets go of it."""
        self.open(observed=False)
        return self._opened.pop()

    @contextmanager
    def handles(self) -> Iterator[None]:
        """Close what was opened in the block, at its end: a handle may hold descriptors, which a process has few of.

        A scenario that does the same thing hundreds of times uses a block for each time.
        """
        before = len(self._opened)
        try:
            yield
        finally:
            for each in self._opened[before:]:
                each.close()
            del self._opened[before:]

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """Give the block a store of its own below the scenario's, with its own handle, and delete it at its end."""
        outer, driver = self.prefix, self.driver
        self.prefix = f"{outer}/{name}"
        try:
            with self.handles():
                self.driver = self.open()
                yield
        finally:
            self.prefix, self.driver = outer, driver
        driver.delete(name)

    def bare(self) -> CheckedDriver:
        """Open a fresh handle on the whole backend, without the prefix; the scenario must clean up itself."""
        return self._bare(self._new())

    def at(self, opens: str | Callable[[], Driver]) -> CheckedDriver:
        """Open a handle on another store, by its URL or by what opens it."""
        driver = open_known(opens) if isinstance(opens, str) else CheckedDriver(opens())
        return self._bare(driver)

    def missing(self) -> CheckedDriver:
        """Open a handle on a backend that does not exist, for scenarios that need ``missing``."""
        assert self.harness.missing is not None, "needs missing"
        return self._bare(open_driver(self.harness.missing))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the backend away for the block, for scenarios that need ``away``."""
        assert self.harness.away is not None, "needs away"
        self.step("the backend is taken away")
        with self.harness.away():
            yield
        self.step("the backend is back")

    def _new(self) -> CheckedDriver:
        self.opens += 1
        return self.harness.open()

    def _bare(self, driver: CheckedDriver) -> CheckedDriver:
        wrapped = driver if self._wrap is None else self._wrap(driver)
        front = CheckedDriver(self._observed(wrapped), driver.scheme)
        self._opened.append(front)
        return front

    def _observed(self, driver: Driver) -> ObservedDriver:
        seen = ObservedDriver(driver, self)
        self._seen.append(seen)
        return seen

    def others_may_call(self) -> None:
        """Check that another thread can call what has raised an error, as this one can; a call that hangs is given up.

        A lock that an error leaves locked is open to the thread that has it, if it is one that may be taken twice.
        """
        for driver in [each for each in self._seen if each.has_raised][-FEW:]:
            for call in (driver.inner.stat, driver.inner.delete):
                ask = partial(outcome_of, call, f"{self.prefix}/nobody")
                mine, theirs = ask(), in_another_thread(ask)
                assert mine == theirs, f"after an error, {call.__name__} of another thread: {theirs}; of this: {mine}"

    def restart(self) -> None:
        """Kill the backend and start it again, for scenarios that need ``restart``."""
        assert self.harness.restart is not None, "needs restart"
        self.step("the backend is restarted")
        self.harness.restart()

    def cut(self) -> None:
        """Break every open connection to the backend, for scenarios that need ``cut``."""
        assert self.harness.cut is not None, "needs cut"
        self.step("the connections are cut")
        self.harness.cut()

    @contextmanager
    def between_requests(self, act: Callable[[], None]) -> Iterator[None]:
        """Call ``act`` between any two requests of the driver, for scenarios that need ``between_requests``."""
        assert self.harness.between_requests is not None, "needs between_requests"
        with PLANTED.calling(act), self.harness.between_requests(act):
            yield

    def tamper(self, key: str, how: How, made: bytes | None = None) -> bytes | None:
        """Have another program change an object, for scenarios that need ``tamper``; return its bytes afterwards.

        What it makes holds the bytes ``made``, if they are given.
        """
        assert self.harness.tamper is not None, "needs tamper"
        whole = f"{self.prefix}/{key}"
        before = b""
        if how != "make":
            with closing(self.harness.open()) as driver:
                before = driver.get(whole, 1 << 40)
        self.step(f"another program does to {key}, of {len(before)} bytes: {how}")
        with nullcontext() if made is None else making(made):
            self.harness.tamper(whole, how)
            return changed(before, how)

    @contextmanager
    def foreign(self, prefix: str) -> Iterator[list[str]]:
        """Put foreign things below a prefix, and yield their names, in order; that of a directory ends in a slash.

        If the harness cannot put any, handles that are opened in the block tell of some: core must know what to do
        about them. A scenario that asks that of the driver needs ``foreign``.
        """
        put = self.harness.foreign or littering(self._things)
        with put(f"{self.prefix}/{prefix}") as names:
            self.step(f"there are {sorted(names)}")
            assert names, "the harness puts no foreign thing there"
            yield sorted(name.removeprefix(f"{self.prefix}/") for name in names)

    def service(self, verify: Verify = "resume") -> LayerService:
        """Open a fresh service on the scenario's store."""
        return LayerService(self.open(), verify=verify)

    def payload(self, label: str) -> Payload:
        """Return a payload with this scenario's seed."""
        return Payload(label, self.seed)

    def size(self, size: int) -> int:
        """Return a size in bytes, or a number of repetitions, scaled as the harness asks for; at least 1."""
        return max(1, int(size * self.harness.scale))

    def sample(self, those: Sequence[Drawn], count: int) -> list[Drawn]:
        """Draw so many of those, as the harness scales it, or all if there are fewer; return them in order."""
        return sorted(self.random.sample(those, min(len(those), self.size(count))))

    def step(self, note: str) -> None:
        """Note a step; the report of a failure has it."""
        self.notes.append(note)

    def count(self, what: str, number: int = 1) -> None:
        """Count things that were tried, cut points or plans; the report has the sums."""
        self.counts[what] += number

    def read(self, key: str) -> bytes:
        """Read an object whole, through a fresh handle, and through the side door if there is one."""
        data = self.open().get(key, 1 << 40)
        if self.harness.side_door is not None and self._wrap is None:
            beside = self.harness.side_door.read(f"{self.prefix}/{key}")
            expect_same(beside or b"", data, "by the side door")
        return data

    def stored(self, prefix: str = "") -> list[str]:
        """Return every key below a prefix, through a fresh handle, and through the side door if there is one."""
        found = list(keys_below(self.open(), prefix))
        if self.harness.side_door is not None and self._wrap is None:
            whole = f"{self.prefix}/{prefix}".rstrip("/")
            beside = [key.removeprefix(f"{self.prefix}/") for key in self.harness.side_door.keys(whole)]
            assert sorted(beside) == sorted(found), f"by the side door there are {sorted(beside)}, listed {found}"
        return found

    def expect(self, key: str, content: bytes) -> None:
        """Check through a fresh handle that an object holds exactly this."""
        expect_same(self.read(key), content, key)

    def same(self, found: bytes, expected: bytes, what: str) -> None:
        """Check that bytes read in another way than by :meth:`expect` are these."""
        expect_same(found, expected, what)

    def clean(self) -> list[str]:
        """Delete every key below the prefix, and return those that are still there afterwards."""
        return though_interrupted(self._clean)

    def _clean(self) -> list[str]:
        driver = self._new()
        left: list[str] = []
        with self._as_far_as_written():  # a backend that is made when first written to may not be there yet
            driver.put(f"{self.prefix}/cleaning", b"")
        with self._as_far_as_written():
            driver.delete(self.prefix)
        with self._as_far_as_written():
            left = list(keys_below(driver, self.prefix))
        for each in [*self._opened, driver]:
            each.close()
        return left

    @contextmanager
    def _as_far_as_written(self) -> Iterator[None]:
        try:
            yield
        except NotImplementedError as error:
            parts = unwritten(error)
            if not parts:
                raise
            self.unwritten += parts

    def before(self, call: Call) -> None:
        """Keep a driver call for the report."""
        self._activity.begin(call)
        self.calls += 1
        size = f" {call.size}" if call.size else ""
        self.trace.append(f"{call.method} {call.key.removeprefix(self.prefix + '/')}{size}")

    def after(self, call: Call, result: object) -> None:
        """Note that it has ended."""
        self._activity.end()


def though_interrupted(act: Callable[[], T]) -> T:
    """Do something that may be repeated; if it is interrupted, do it again before raising."""
    try:
        return act()
    except KeyboardInterrupt:
        act()
        raise

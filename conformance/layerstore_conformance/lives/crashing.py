"""Live lives in processes that are killed, one after the other, each in a store of its own.

A :class:`Zygote` is a fresh interpreter that has imported all there is to import, and has not opened the store: a
driver that keeps something in the process must not find it there. For every life it forks a child, which opens the
store by its URL, lives, and is killed by a :class:`~layerstore_conformance.lives.killing.Killer`; what the child was
promised it tells over a pipe, step by step, before and after each, so that it is known at whatever moment it dies. ::

    with Zygote.of(ctx) as zygote:
        whole, = zygote.live([Plan(straight, "whole")])
        plans = [Plan(straight, f"{call}", CutPoint(call, "before")) for call in range(len(whole.calls))]
        for death in zygote.live(plans):
            check_cut_off(death.service(ctx.open()), death.promise(), finish_again)
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NoReturn, Self

from layerstore import LayerService, LayerStoreError, StoreURL, layout
from layerstore.checked import CheckedDriver
from layerstore.registry import Registry, installed_claims
from layerstore.unwritten import UnwrittenError
from layerstore_conformance.engine.defect import defects, planted_now
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.kit.unwritten import unwritten
from layerstore_conformance.lives.killing import CutPoint, Killer, mortal
from layerstore_conformance.lives.lifecycles import CHUNK, Life, Tell
from layerstore_conformance.lives.promise import Promise
from layerstore_conformance.processes.child import Child

if TYPE_CHECKING:
    from layerstore.driver import Driver
    from layerstore.observed import Call
    from layerstore_conformance.engine.context import Context

NAME = "crash/matrix"
"""The repository."""

LONGEST = 300
"""Seconds after which a child that neither ends nor dies is killed by an alarm, and that is told."""

Step = tuple[object, ...]
"""What a child tells: the name of a step, and its details."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A life to be lived, and where it ends."""

    lifecycle: Callable[[Life], None]
    """A module's own function: it is named to the other process, not sent."""
    place: str
    """The prefix of a store of its own."""
    cut: CutPoint | None = None
    """Where it is killed; when it has lived to the end, if nothing is given."""
    seed: int = 0
    chunk: int = CHUNK


@dataclass(frozen=True, slots=True)
class Death:
    """How a child has ended, and what it had told by then."""

    plan: Plan
    told: tuple[Step, ...]
    status: int
    """As ``waitpid`` gives it."""

    @property
    def calls(self) -> list[Call]:
        """The driver calls it has begun, in order."""
        return [details[0] for step, *details in self.told if step == "call"]  # type: ignore[misc]  # as Killer tells

    def promise(self) -> Promise:
        """Rebuild what the store had promised to the child when it was killed.

        Raises:
            AssertionError: as :meth:`check`: what a child was promised that did not die as planned is not known.
        """
        self.check()
        return self._told_promise()

    def _told_promise(self) -> Promise:
        made = Promise(NAME)
        for step, *details in self.told:
            if step not in _OTHERS:
                made.take(str(step), *details)
        return made

    def check(self) -> None:
        """Check that it was killed at its cut point, and by itself: whatever else it died of proves nothing.

        Raises:
            AssertionError: it was not; it says what the child raised, or how it ended.
            UnwrittenError: what it raised is that a part of the driver is not written.
        """
        raised = [[str(each) for each in details] for step, *details in self.told if step == "raised"]
        for text, *parts in raised:
            if parts:
                raise UnwrittenError(parts[0])
            raise AssertionError(f"the child failed before it could be killed:\n{text}")
        last = self.told[-1] if self.told else ()
        at = len(self.calls) - 1 if self.plan.cut is None else self.plan.cut.call
        ended = (last, os.waitstatus_to_exitcode(self.status))
        as_planned = (("dying", at), -signal.SIGKILL)
        assert ended == as_planned, f"the child was not killed at its cut point: {self._ended()}"

    def service(self, driver: CheckedDriver) -> LayerService:
        """Open the store that the child has left; ``driver`` is a fresh handle on where all of them lie."""
        return LayerService(CheckedDriver(PrefixedDriver(driver, self.plan.place), driver.scheme))

    def __str__(self) -> str:
        """Say where it died, and what it had been promised."""
        if self.plan.cut is None:
            return f"killed at the end, after {len(self.calls)} driver calls; {self._told_promise()}"
        method, key = self.calls[-1][:2] if self.calls else ("none", "")
        call = f"call {self.plan.cut.call}, {method} {key.rpartition(f'{layout.ROOT}/')[2]}"
        return f"killed {_SIDES[self.plan.cut.side]} {call}; {self._told_promise()}"

    def _ended(self) -> str:
        code = os.waitstatus_to_exitcode(self.status)
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"{how} after {len(self.calls)} driver calls"


_SIDES = {"before": "before", "middle": "in the middle of", "after": "after"}

_OTHERS = ("call", "dying", "raised")
"""What a child tells beside the steps of its life."""


class Zygote(Child):
    """The process that bears children to be killed."""

    def __init__(self, url: str, prefix: str = "", planted: Sequence[str] = ()) -> None:
        """Start it: its children work below a prefix of the store, if any, with defects planted by name."""
        super().__init__("-c", f"import sys; from {__name__} import serve; serve(int(sys.argv[1]))")
        self._pipe.send((url, prefix, tuple(planted)))

    @classmethod
    def of(cls, ctx: Context) -> Self:
        """Start it on a scenario's store, with whatever defects are planted here; needs ``shared`` and ``url``."""
        assert ctx.harness.url is not None, "needs url"
        return cls(ctx.harness.url, ctx.prefix, planted_now())

    def live(self, plans: Sequence[Plan]) -> Iterator[Death]:
        """Have lives lived, one after the other, and yield their deaths; the next ones go on meanwhile.

        Raises:
            AssertionError: the zygote itself has died.
        """
        with suppress(BrokenPipeError):  # it has died: what is received, or is not, tells
            self._pipe.send(list(plans))
        for _ in plans:
            try:
                death: Death = self._pipe.recv()
            except (EOFError, ConnectionResetError):
                raise AssertionError(f"the zygote died, with {self._process.wait()}") from None
            yield death


class _Mother:
    """Has imported what there is to import, and has opened nothing."""

    def __init__(self, url: str, prefix: str, planted: Sequence[str]) -> None:
        self._url = StoreURL.parse(url)
        self._prefix = prefix
        self._planted = [defects()[name] for name in planted]
        claims = list(installed_claims())  # read once: with many distributions it takes longer than a life
        self._registry = Registry(lambda: claims)
        with suppress(LayerStoreError):  # the child that opens the store tells
            self._registry.load(self._url.scheme)

    def bear(self, plan: Plan) -> Death:
        """Fork a child that lives a plan, hear what it tells until it has ended, and tell how."""
        hearing, telling = Pipe(duplex=False)
        child = os.fork()
        if not child:
            hearing.close()
            self._be_child(plan, telling)
        telling.close()
        told: list[Step] = []
        with hearing, suppress(EOFError):
            while True:
                told.append(hearing.recv())
        return Death(plan, tuple(told), os.waitpid(child, 0)[1])

    def _be_child(self, plan: Plan, telling: Connection) -> NoReturn:
        signal.alarm(LONGEST)
        try:
            self._live(plan, lambda *step: telling.send(step))  # written to the pipe at once, not buffered
        except BaseException as error:  # noqa: BLE001  (told to who asked; nothing of the zygote's may run here)
            telling.send(("raised", traceback.format_exc(), *unwritten(error)))
        finally:
            os._exit(1)

    def _live(self, plan: Plan, tell: Tell) -> None:
        killer = Killer(tell, plan.cut)
        with ExitStack() as stack:
            driver: Driver = self._registry.open(self._url)
            for defect in self._planted:
                driver = stack.enter_context(defect.plant())(driver)
            below = PrefixedDriver(driver, "/".join(filter(None, (self._prefix, plan.place))))
            service = LayerService(CheckedDriver(mortal(below, killer), self._url.scheme))
            plan.lifecycle(Life(service, NAME, seed=plan.seed, chunk=plan.chunk, tell=tell))
            if plan.cut is None:
                killer.die()
            os._exit(0)


def serve(descriptor: int) -> None:
    """Be a zygote: bear children as a pipe says, until nobody is at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for who started this: this ends when that has
    with Connection(descriptor) as pipe, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        mother = _Mother(*pipe.recv())
        while True:
            for plan in pipe.recv():
                pipe.send(mother.bear(plan))

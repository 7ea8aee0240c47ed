"""Run lifecycles in processes that are killed, one after the other, each in a store of its own.

A :class:`ForkServer` is a fresh process that has imported every module, and has not opened the store: a driver that
keeps something in its process must not find it there. For every plan it forks a worker, which opens the store by its
URL, runs the lifecycle, and is killed by a :class:`~.killing.Killer`. The worker sends each step over a pipe, before it
takes the step and after, so that what the store has promised is known whenever the worker dies. ::

    with ForkServer.of(ctx) as server:
        (whole,) = server.run([Plan(straight, "whole")])
        plans = [Plan(straight, f"{call}", CutPoint(call, "before")) for call in range(len(whole.calls))]
        for ended in server.run(plans):
            check_cut_off(ended.service(ctx.open()), ended.promise(), finish_again)
"""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NoReturn, Self

from layerstore import LayerService, LayerStoreError, StoreURL, layout
from layerstore.checked import CheckedDriver
from layerstore.registry import Registry, installed_claims
from layerstore.unwritten import UnwrittenError
from layerstore_conformance.engine.defect import defect_named, planted_before, planted_now
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.kit.unwritten import unwritten
from layerstore_conformance.processes.child import Child
from layerstore_conformance.promises.killing import CutPoint, Killer, mortal
from layerstore_conformance.promises.lifecycles import CHUNK, Tell, TrackedUpload
from layerstore_conformance.promises.promise import Promise

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context
    from layerstore_conformance.kit.observed import Call

NAME = "crash/matrix"
"""The repository."""

LONGEST = 300
"""Seconds after which an alarm kills a worker that has not ended; its exit record says so."""

Message = tuple[object, ...]
"""A worker's message: the name of a step, and its details."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A lifecycle to run, and where to kill its worker."""

    lifecycle: Callable[[TrackedUpload], None]
    """A module-level function: it is sent to the other process by name."""
    place: str
    """The prefix of a store of its own."""
    cut: CutPoint | None = None
    """Where the worker is killed; None: at the end of the lifecycle."""
    seed: int = 0
    chunk: int = CHUNK


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How a worker ended, and the messages that it had sent by then."""

    plan: Plan
    told: tuple[Message, ...]
    status: int
    """As ``waitpid`` gives it."""

    @property
    def calls(self) -> list[Call]:
        """The driver calls that it had begun, in order."""
        return [details[0] for step, *details in self.told if step == "call"]  # type: ignore[misc]  # as Killer tells

    def promise(self) -> Promise:
        """Rebuild what the store had promised the worker when it was killed.

        Raises:
            AssertionError: as :meth:`check`: if the worker did not die as planned, its promise is not known.
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
        """Check that the worker was killed at its cut point, and by itself: any other end proves nothing.

        Raises:
            AssertionError: it was not; the message has the worker's error, or how the worker ended.
            UnwrittenError: the worker needed a part of the driver that is not written.
        """
        raised = [[str(each) for each in details] for step, *details in self.told if step == "raised"]
        for text, *parts in raised:
            if parts:
                raise UnwrittenError(parts[0])
            raise AssertionError(f"the worker failed before it could be killed:\n{text}")
        last = self.told[-1] if self.told else ()
        at = len(self.calls) - 1 if self.plan.cut is None else self.plan.cut.call
        ended = (last, os.waitstatus_to_exitcode(self.status))
        as_planned = (("dying", at), -signal.SIGKILL)
        assert ended == as_planned, f"the worker was not killed at its cut point: {self._ended()}"

    def service(self, driver: CheckedDriver) -> LayerService:
        """Open the store that the worker has left; ``driver`` is a fresh handle on the server's store."""
        return LayerService(CheckedDriver(PrefixedDriver(driver, self.plan.place), driver.scheme))

    def __str__(self) -> str:
        """Say where the worker died, and what the store had promised it."""
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
"""A worker's messages that are no steps."""


class ForkServer(Child):
    """The process that forks the workers."""

    def __init__(self, url: str, prefix: str = "", planted: Sequence[str] = ()) -> None:
        """Start it; its workers use a prefix of the store, if one is given, with the defects of these names planted."""
        super().__init__(_serve)
        self._pipe.send((url, prefix, tuple(planted)))

    @classmethod
    def of(cls, ctx: Context) -> Self:
        """Start it on a scenario's store, with the defects that are planted here; needs ``shared`` and ``url``."""
        assert ctx.harness.url is not None, "needs url"
        return cls(ctx.harness.url, ctx.prefix, planted_now())

    def run(self, plans: Sequence[Plan]) -> Iterator[ExitRecord]:
        """Run plans, one after the other, and yield how each worker ended; the next ones run meanwhile.

        Raises:
            AssertionError: the fork server itself has died.
        """
        with suppress(BrokenPipeError):  # it has died: the loop below notices
            self._pipe.send(list(plans))
        for _ in plans:
            try:
                ended: ExitRecord = self._pipe.recv()
            except (EOFError, ConnectionResetError):
                raise AssertionError(f"the fork server died, with {self._process.wait()}") from None
            yield ended

    def live(self, plans: Sequence[Plan]) -> Iterator[ExitRecord]:
        """Run plans, by the method's old name."""
        warnings.warn("live: use run", DeprecationWarning, stacklevel=2)
        return self.run(plans)


class _Server:
    """Has imported every module, and has opened nothing."""

    def __init__(self, url: str, prefix: str, planted: Sequence[str]) -> None:
        self._url = StoreURL.parse(url)
        self._prefix = prefix
        self._planted = [defect_named(name) for name in planted]
        claims = list(installed_claims())  # read once: with many distributions it takes longer than a lifecycle
        self._registry = Registry(lambda: claims)
        with suppress(LayerStoreError):  # the worker that opens the store raises it
            self._registry.load(self._url.scheme)

    def fork(self, plan: Plan) -> ExitRecord:
        """Fork a worker that runs a plan, receive its messages until it has ended, and return its exit record."""
        receiver, sender = Pipe(duplex=False)
        worker = os.fork()
        if not worker:
            receiver.close()
            self._be_worker(plan, sender)
        sender.close()
        told: list[Message] = []
        with receiver, suppress(EOFError):
            while True:
                told.append(receiver.recv())
        return ExitRecord(plan, tuple(told), os.waitpid(worker, 0)[1])

    def _be_worker(self, plan: Plan, sender: Connection) -> NoReturn:
        signal.alarm(LONGEST)
        try:
            self._work(plan, lambda *step: sender.send(step))  # written to the pipe at once, not buffered
        except BaseException as error:  # noqa: BLE001  (sent to the caller; none of the server's code may run here)
            sender.send(("raised", traceback.format_exc(), *unwritten(error)))
        finally:
            os._exit(1)

    def _work(self, plan: Plan, tell: Tell) -> None:
        killer = Killer(tell, plan.cut)
        with planted_before(self._registry.open(self._url), self._planted) as driver:
            below = PrefixedDriver(driver, "/".join(filter(None, (self._prefix, plan.place))))
            service = LayerService(CheckedDriver(mortal(below, killer), self._url.scheme))
            plan.lifecycle(TrackedUpload(service, NAME, seed=plan.seed, chunk=plan.chunk, tell=tell))
            if plan.cut is None:
                killer.die()
            os._exit(0)


def _serve(pipe: Connection) -> None:
    """Be a fork server: run the plans that come through a pipe, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one handles it; this one ends after it
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        server = _Server(*pipe.recv())
        while True:
            for plan in pipe.recv():
                pipe.send(server.fork(plan))

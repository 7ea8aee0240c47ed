"""A worker: a process that uses the store, one operation after the other, until it is asked to end or is killed."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import IO, Generic, TypeVar

from layerstore import LayerStoreError, open_driver
from layerstore.driver import Driver
from layerstore.errors import (
    BackendUnavailableError,
    FencedError,
    LayerClosedError,
    LayerInvalidDigestError,
    MarkingIncompleteError,
    UnknownLayerError,
    UnknownUploadError,
)
from layerstore_conformance.engine.defect import defect_named, planted_before
from layerstore_conformance.kit.prefixed import PrefixedDriver
from layerstore_conformance.storm.dawdling import dawdling
from layerstore_conformance.storm.journal import Journal
from layerstore_conformance.storm.plan import Plan
from layerstore_conformance.storm.user import User

T = TypeVar("T")

ENDING: tuple[type[LayerStoreError], ...] = (FencedError, UnknownUploadError, LayerClosedError)
"""Errors that say that an upload is no longer this worker's."""

LAWFUL: dict[str, tuple[type[LayerStoreError], ...]] = {
    "write": ENDING,
    "flush": ENDING,
    "close": ENDING,
    # Another worker unlinked it at once, or changed the upload; the account checks whether there was one.
    "finish": (*ENDING, UnknownLayerError, LayerInvalidDigestError),
    "finish again": (*ENDING, UnknownLayerError, LayerInvalidDigestError),
    "resume": (UnknownUploadError,),
    "cancel": ENDING,
    "mount": (UnknownLayerError,),
    "unlink": (UnknownLayerError,),
    "fetch": (UnknownLayerError,),
    "gc": (MarkingIncompleteError,),
}
"""Errors that other workers may cause. BackendUnavailableError is always allowed, and counted."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """The result of an operation."""

    how: str
    value: T | None = None
    error: str = ""
    trace: str = ""

    @property
    def done(self) -> bool:
        """Whether it returned."""
        return self.how == "done"


class Worker:
    """Does operations, and notes each in its journal."""

    def __init__(self, plan: Plan, name: str) -> None:
        """Begin the journal; the first operation is due within the deadline."""
        self.plan = plan
        self.name = name
        self._journal = Journal(plan.folder / f"{name}.journal")
        self._stacks: IO[str] = (plan.folder / f"{name}.stacks").open("w")
        self._exposed = False
        faulthandler.register(signal.SIGUSR1, self._stacks)
        self._expect_an_end()  # the store is opened before anything is done

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the operation under way, once; a signal's handler."""
        del number, frame
        if self._exposed:
            self._exposed = False
            raise KeyboardInterrupt

    def do(
        self,
        what: str,
        asked: Mapping[str, object],
        act: Callable[[], T],
        told: Callable[[T], Mapping[str, object]] | None = None,
    ) -> Reply[T]:
        """Do an operation; ``told`` makes the journal's fields of its result."""
        self._journal.begin(what, asked)
        self._expect_an_end()
        reply = self._tried(act, (BackendUnavailableError, *LAWFUL.get(what, ())))
        faulthandler.cancel_dump_traceback_later()
        self._journal.end(reply.how, _noted(reply, told))
        return reply

    def leave(self) -> None:
        """Note that the worker ends: the interpreter's own end has a deadline, too."""
        self._journal.begin("leave", {})
        self._expect_an_end()

    def _expect_an_end(self) -> None:
        faulthandler.dump_traceback_later(self.plan.deadline, exit=True, file=self._stacks)

    def _tried(self, act: Callable[[], T], lawful: tuple[type[LayerStoreError], ...]) -> Reply[T]:
        try:
            try:
                self._exposed = True
                value = act()
            finally:
                self._exposed = False
        except KeyboardInterrupt:
            return Reply("interrupted")
        except lawful as error:
            return Reply("refused", error=type(error).__name__, trace=str(error))
        except BaseException as error:  # noqa: BLE001  (any other error is a finding of the storm)
            return Reply("surprise", error=type(error).__name__, trace=traceback.format_exc())
        return Reply("done", value)


def _noted(reply: Reply[T], told: Callable[[T], Mapping[str, object]] | None) -> Mapping[str, object]:
    if not reply.done:
        return {"error": reply.error, "trace": reply.trace}
    return {} if told is None else told(reply.value)  # type: ignore[arg-type]  # done: it is the result


def run(plan: Plan, name: str, environment: Mapping[str, str]) -> None:
    """Be a worker: the target of a process."""
    os.environ.update(environment)  # the fork server's environment may be an older one
    _silence(plan.folder / f"{name}.stderr")
    worker = Worker(plan, name)
    signal.signal(signal.SIGINT, worker.receive)
    with ExitStack() as stack:
        user = User(worker.do, lambda: _open(plan, name, stack), Random(f"{plan.seed} {name}"), plan)
        while not (plan.folder / f"{name}.end").exists():
            user.step()
        user.leave()
    worker.leave()


def _silence(path: Path) -> None:
    """Send the interpreter's messages to a file: they would mix with other processes' lines."""
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    sys.stderr = os.fdopen(2, "w", closefd=False)


def _open(plan: Plan, name: str, stack: ExitStack) -> Driver:
    driver = stack.enter_context(planted_before(open_driver(plan.url), map(defect_named, plan.plant)))
    return dawdling(PrefixedDriver(driver, plan.prefix), Random(f"{plan.seed} {name} dawdling"), plan.folder)

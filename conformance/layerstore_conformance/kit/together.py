"""Do several things at once, in threads that start at one moment; look at a thread's work while it is done."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import FrameType

    from layerstore_conformance.kit.moments import IsMoment

T = TypeVar("T")


def together(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of them at once, and return their results in order; raise the first failure."""
    start = threading.Barrier(len(actions))
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def act(index: int) -> None:
        start.wait()
        try:
            results[index] = actions[index]()
        except BaseException as error:  # noqa: BLE001  (raised below, in the scenario's own thread)
            failures.append(error)

    threads = [threading.Thread(target=act, args=(index,)) for index in range(len(actions))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(actions))]


class _Step:
    """Where threads wait until all of them have come; until one has not come in time."""

    def __init__(self, parties: int, patience: float) -> None:
        self._all = threading.Condition()
        self._parties, self._patience = parties, patience
        self._waiting = self._number = 0
        self._over = False

    def pass_by(self) -> None:
        """Wait for the others."""
        with self._all:
            if self._over:
                return
            self._waiting, number = self._waiting + 1, self._number
            self._go_on_if_all_wait()
            if not self._all.wait_for(lambda: self._over or self._number != number, self._patience):
                self._over = True
                self._all.notify_all()

    def leave(self) -> None:
        """Be waited for no more."""
        with self._all:
            self._parties -= 1
            self._go_on_if_all_wait()

    def _go_on_if_all_wait(self) -> None:
        if self._waiting >= self._parties:
            self._waiting, self._number = 0, self._number + 1
            self._all.notify_all()


def in_step(actions: Sequence[Callable[[], T]], is_moment: IsMoment, patience: float) -> list[T]:
    """Do all of them at once, each as far as the others at every moment, and return their results in order.

    One that sleeps waits for another, and goes on alone. All of them do as soon as one has not come to its next moment
    for so many seconds: it may wait for another's lock.
    """
    step = _Step(len(actions), patience)

    def ran(frame: FrameType, event: str, arg: object) -> None:
        if event == "c_call" and getattr(arg, "__name__", "") == "sleep":
            sys.setprofile(None)
            step.leave()
        elif is_moment(frame, event, arg):
            step.pass_by()

    def stepping(act: Callable[[], T]) -> T:
        sys.setprofile(ran)
        try:
            return act()
        finally:
            if sys.getprofile() is not None:
                sys.setprofile(None)
                step.leave()

    return together([partial(stepping, act) for act in actions])


def look_during(work: Callable[[], object], look: Callable[[], object], times: int = 0) -> None:
    """Look at a thread's work until it has ended: once, or until it was seen this many times."""
    enough = threading.Event()
    if not times:
        enough.set()

    def repeat() -> None:
        work()
        while not enough.is_set():
            work()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(repeat)
        try:
            for _ in range(times):
                look()
        finally:
            enough.set()
        while not working.done():
            look()
        working.result()


def in_another_thread(act: Callable[[], T], seconds: float | None = None) -> T:
    """Do something in another thread, and return its result, or raise its error.

    Raises:
        TimeoutError: it has not ended after so many seconds; the thread is left alone.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(act())
        except BaseException as error:  # noqa: BLE001  (raised in the thread that waits)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)


def outcome_of(act: Callable[[str], object], key: str) -> str:
    """Do something to a key, and return ``done``, or the kind of the error."""
    try:
        act(key)
    except Exception as error:  # noqa: BLE001  (it is compared)
        return type(error).__name__
    return "done"

"""Liveness: a scenario that hangs is given up, and the stacks of all threads say where it stands.

A scenario runs in a thread of its own, and the thread that waits for it gives it up when its driver has been silent for
too long. Nothing ends a thread in Python that waits for a lock or for a call in C: an exception that a signal raises
comes too late there, and is lost in a finalizer. So the thread is left where it is. The locks that it may hold are why
its process is replaced where that is possible (:mod:`layerstore_conformance.session.replacing`).

How long is too long is no number of seconds: it is measured, in rounds of work on the same store by the same machine,
and measured again before anything is given up.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar
from weakref import WeakKeyDictionary

from layerstore_conformance.engine.pace import MIB, Pace, go_round, started

if TYPE_CHECKING:
    from layerstore_conformance.harness import Harness
    from layerstore_conformance.kit.observed import Call

T = TypeVar("T")

SILENCE = 60
"""Rounds that may pass between two ends of driver calls."""

WHOLE = 3000
"""Rounds that a scenario may take in all, unless it tries everything."""

EVERYTHING = 100
"""How many times as many then."""

TICK = 0.05
"""Seconds between two looks."""

STANDSTILL = 1.0
"""The most seconds that count between two looks: if more have passed, the whole process stood still, or the machine."""

FRAMES = 12
"""Frames of each thread that are shown."""


class Activity:
    """What a scenario's driver does."""

    def __init__(self, whole: float = 1) -> None:
        """Begin with nothing done; ``whole`` is how many times as long as usual all of it may take."""
        self.whole = whole
        self.beats = 0
        """Ends of calls: it stands while the driver is silent."""
        self.doing = ""
        """The call that began last."""
        self.pieces = 0
        """How many objects there may be, and how many MiB the last call has: a call takes longer with more."""
        self._objects = 0

    def begin(self, call: Call) -> None:
        """Note that a call begins."""
        self._objects += call.method in ("put", "publish", "move")
        self.pieces = self._objects + call.size // MIB
        self.doing = f"{call.method} {call.key}"
        self.beats += 1

    def end(self) -> None:
        """Note that a call has ended."""
        self.beats += 1


class HungError(Exception):
    """It was given up."""

    def __init__(self, said: str, stacks: str) -> None:
        """Say what hangs, and where all threads stand."""
        super().__init__(said, stacks)
        self.said = said
        self.stacks = stacks

    def __str__(self) -> str:
        """Return what hangs."""
        return self.said


_given_up: list[threading.Thread] = []
_machine: list[Pace] = []
_paces: WeakKeyDictionary[Harness, Pace] = WeakKeyDictionary()
_watches: list[_Watch[Any]] = []
_switch: list[TextIO] = []


def switch(file: TextIO) -> None:
    """End this process from now on, with all stacks in ``file``, if it stands still: a call in C keeps the GIL, say."""
    _switch[:] = [file]
    atexit.register(file.close)


def pace(harness: Harness) -> Pace:
    """Return how fast a harness is, measured at the first call.

    Raises:
        HungError: it does nothing at all.
    """
    if harness not in _paces:
        _paces[harness] = _measured(harness, _machine_pace())
    return _paces[harness]


def _machine_pace() -> Pace:
    if not _machine:
        _machine.append(started())
    return _machine[0]


def watched(work: Callable[[], T], activity: Activity, known: Pace, harness: Harness) -> T:
    """Do something in a thread, and return its result.

    Raises:
        HungError: it stands still, or goes on for ever.
    """
    watch = _Watch(work, activity, known, lambda: _measured(harness, started()))
    _watches.append(watch)
    try:
        return watch.result()
    finally:
        _watches.remove(watch)


def beside_a_watch(harness: Harness, work: Callable[[Harness], T]) -> T:
    """Do something with a harness of which nothing is known yet.

    Raises:
        HungError: it stands still.
    """
    return watched(lambda: work(harness), Activity(), _machine_pace(), harness)


def any_left() -> bool:
    """Return whether a thread that was given up still runs: it would keep the process from ending."""
    return any(each.is_alive() for each in _given_up)


def stand_still() -> None:
    """Stand still for ten times as long as allowed, as whoever watches sees it; for planted defects.

    In another process, in another thread than the scenario's, and in one that was given up before it does nothing.
    """
    for watch in _watches:
        if watch.thread is threading.current_thread():
            watch.skip()


def _measured(harness: Harness, known: Pace) -> Pace:
    """Measure how fast a harness is now."""
    activity = Activity()

    def work() -> float:
        with suppress(Exception):
            harness.open().close()  # its URL is looked up once
        began = time.monotonic()
        with suppress(Exception):  # scenarios find what is wrong with the driver
            go_round(harness, activity.end)
        return time.monotonic() - began

    return Pace(known.start, _Watch(work, activity, known, started).result())


class _Watch(Generic[T]):
    """Something that is done in a thread."""

    def __init__(self, work: Callable[[], T], activity: Activity, known: Pace, measure: Callable[[], Pace]) -> None:
        self._work = work
        self._activity = activity
        self._pace = known
        self._measure = measure
        self.thread = threading.Thread(target=self._run, name="scenario", daemon=True)
        self._done = threading.Event()
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._skipped = 0.0
        self._looked = threading.Event()
        self._silent = self._passed = self._armed = 0.0

    def result(self) -> T:
        """Do it; raise what it raises."""
        self._arm()
        try:
            return self._result()
        finally:
            if _switch:  # else the process would be ended some time after the work
                faulthandler.cancel_dump_traceback_later()

    def _result(self) -> T:
        self.thread.start()
        try:
            self._wait()
        except KeyboardInterrupt:
            self._interrupt()
            raise
        except HungError:
            _given_up.append(self.thread)
            self._done.wait(STANDSTILL)  # one that only paused ends soon, and is then in nobody's way
            raise
        if self._errors:
            raise self._errors.pop()
        return self._results.pop()

    def skip(self) -> None:
        """Have much time pass, as it seems, and wait until that was noticed."""
        self._looked.clear()
        self._skipped = 10 * self._silence()
        self._looked.wait(self._silence())

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001  (raised in the thread that waits)
            self._errors.append(error)
        finally:
            self._done.set()

    def _wait(self) -> None:
        seen, last = -1, time.monotonic()
        while not self._done.wait(TICK):
            if seen != self._activity.beats:
                seen, self._silent = self._activity.beats, 0.0
            now = time.monotonic()
            self._let_pass(min(now - last, STANDSTILL))
            last = now
            if self._is_late() and self._is_late_by_a_new_measure(seen):
                self._looked.set()
                raise HungError(self._said(), _stacks())

    def _let_pass(self, seconds: float) -> None:
        skipped, self._skipped = self._skipped, 0.0
        self._silent += seconds + skipped
        self._passed += seconds + skipped
        if self._passed > self._armed:
            self._arm()

    def _arm(self) -> None:
        """Have the process end if this is not done again in time: a call in C may keep this thread waiting, too."""
        self._armed = self._passed + STANDSTILL
        if _switch:
            faulthandler.dump_traceback_later(max(1.0, 2 * self._silence()), exit=True, file=_switch[0])

    def _silence(self) -> float:
        """Return how many seconds may pass in silence."""
        return SILENCE * sum(self._pace) + self._activity.pieces * self._pace.round

    def _is_late(self) -> bool:
        return self._silent > self._silence() or self._passed > self._activity.whole * WHOLE * sum(self._pace)

    def _is_late_by_a_new_measure(self, seen: int) -> bool:
        try:
            self._pace = self._pace.slower(self._measure())
            late = self._is_late()
        except HungError:
            late = True
        silent = self._silent <= self._silence() or seen == self._activity.beats  # and not only until it was measured
        return late and silent and not self._done.is_set()

    def _said(self) -> str:
        where = self._activity.doing or "the first call"
        if self._silent > self._silence():
            rounds = self._silent / sum(self._pace)
            return f"it hangs: in or after {where} nothing happened for the time of {rounds:.0f} rounds of other work"
        rounds = self._activity.whole * WHOLE
        return f"it does not end: in the time of {rounds:.0f} rounds of other work it came to {where}"

    def _interrupt(self) -> None:
        """Hand an interrupt on to the thread, and give it time to clean up."""
        if self.thread.ident is not None:
            thread = ctypes.c_ulong(self.thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(KeyboardInterrupt))
        self._done.wait(self._silence())


def _stacks() -> str:
    """Return where every thread but this one stands, the innermost frame last."""
    names = {each.ident: each.name for each in threading.enumerate()}
    shown = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  (documented, for this)
        if ident != threading.get_ident():
            lines = "".join(traceback.format_stack(frame)[-FRAMES:])
            shown.append(f"thread {names.get(ident, ident)}:\n{lines}")
    return "\n".join(shown)

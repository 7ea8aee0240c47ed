"""Look at a piece of work from another thread, at every call and return within it: so a race needs no luck."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

PATIENCE: Final = 0.01
"""Seconds for one look; one that waits for a lock of the work is not waited for any longer."""

CLOSE: Final = 80
"""Events at each of which there is a look; afterwards at every eighth, for work of many small steps."""

FAR: Final = 800
"""Events after which there is a look at every 128th: a client of a remote service makes thousands of calls."""


HELD: Final = 60
"""Seconds for which a thread is held at most: the one that is waited for must not keep its locks for ever."""


class _Looker:
    """Looks once for every time it is asked, in a thread of its own."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._asked = threading.Semaphore(0)
        self._free = threading.Event()
        self._free.set()
        self._events = 0
        self._over = False
        self.failure: BaseException | None = None
        self.looks = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def event(self, frame: FrameType, event: str, arg: object) -> None:
        """Have it look, unless it still does."""
        del frame, arg
        self._events += event in ("call", "return")
        step = 1 if self._events < CLOSE else 8 if self._events < FAR else 128
        if event in ("call", "return") and self._events % step == 0:
            self._free.wait(PATIENCE / 10)  # it may be free now, of a lock that was held at its last look
            self.ask(PATIENCE)

    def ask(self, seconds: float | None) -> None:
        """Have it look, and wait until it has, for this long at most."""
        if self._free.is_set() and self.failure is None:
            self._free.clear()
            self._asked.release()
            self._free.wait(seconds)

    def end(self) -> None:
        """Wait for its last look."""
        self._free.wait()
        self._over = True
        self._asked.release()
        self._thread.join()

    def _serve(self) -> None:
        while self._asked.acquire() and not self._over:
            try:
                self._look()
            except BaseException as error:  # noqa: BLE001  (raised in the thread of the work)
                self.failure = error
            self.looks += 1
            self._free.set()


def looked_at(work: Callable[[], object], look: Callable[[], object]) -> int:
    """Do the work, and look at each moment of it; return how often. Raise the first failure of a look."""
    looker, before = _Looker(look), sys.getprofile()
    sys.setprofile(looker.event)
    try:
        work()
    finally:
        sys.setprofile(before)
        looker.end()
    if looker.failure is not None:
        raise looker.failure
    return looker.looks


def watched(work: Callable[[], object], look: Callable[[], object]) -> None:
    """Do the work, and look in the same thread, so that nothing happens meanwhile: at its calls and returns."""
    before, events = sys.getprofile(), itertools.count(1)

    def ran(frame: FrameType, event: str, arg: object) -> None:
        del frame, arg
        number = next(events)
        if event != "c_call" and number % (1 if number < CLOSE else 8 if number < FAR else 128) == 0:
            look()

    sys.setprofile(ran)
    try:
        work()
    finally:
        sys.setprofile(before)


IsMoment = Callable[["FrameType", str, object], bool]
"""Tells which events of a profile function are moments."""


def call_or_return(frame: FrameType, event: str, arg: object) -> bool:
    """Return whether the event is a call of a Python function, or its return."""
    del frame, arg
    return event in ("call", "return")


def released(frame: FrameType, event: str, arg: object) -> bool:
    """Return whether the event is the release of a lock, by a method in C: whoever waited for it may go on now."""
    del frame
    return event == "c_return" and getattr(arg, "__name__", "") in {"__exit__", "release"}


class Meeting:
    """Has another thread do something at one moment of the work of this thread: at a call or return, by its number."""

    def __init__(
        self,
        other: Callable[[], object],
        moment: int,
        is_moment: IsMoment = call_or_return,
        patience: float = PATIENCE,
    ) -> None:
        """Let ``moment`` events pass, and wait for the other thing for so many seconds at most."""
        self._other = other
        self._patience = patience
        self._moment = moment
        self._is_moment = is_moment
        self.events = 0
        """Moments of the work so far."""
        self._failure: BaseException | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._act, daemon=True)

    def of(self, work: Callable[[], object]) -> None:
        """Do the work, and the other thing meanwhile, or after it if the work has no such moment."""
        before = sys.getprofile()
        sys.setprofile(self._event)
        try:
            work()
        finally:
            sys.setprofile(before)
            if not self._thread.ident:
                self._thread.start()
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _event(self, frame: FrameType, event: str, arg: object) -> None:
        if not self._is_moment(frame, event, arg):
            return
        self.events += 1
        if self.events > self._moment and not self._thread.ident:
            self._thread.start()
            self._done.wait(self._patience)  # it may have to wait for a lock of the work

    def _act(self) -> None:
        try:
            self._other()
        except BaseException as error:  # noqa: BLE001  (raised in the thread of the work)
            self._failure = error
        finally:
            self._done.set()


class Held:
    """A thread's work, held at one moment of it, by its number, for as long as the block lasts.

    ::

        with Held(work, 7, Places(driver).have) as held:
            ...  # the work is in the middle, or has ended if it has no such moment
    """

    def __init__(self, work: Callable[[], object], moment: int, is_moment: IsMoment = call_or_return) -> None:
        """Let ``moment`` events pass."""
        self._work = work
        self._moment = moment
        self._is_moment = is_moment
        self.events = 0
        """Moments of the work so far."""
        self._failure: BaseException | None = None
        self._there = threading.Event()
        self._go_on = threading.Event()
        self._thread = threading.Thread(target=self._act, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._there.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._go_on.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _act(self) -> None:
        sys.setprofile(self._event)
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  (raised in the thread of the block)
            self._failure = error
        finally:
            sys.setprofile(None)
            self._there.set()

    def _event(self, frame: FrameType, event: str, arg: object) -> None:
        if not self._is_moment(frame, event, arg):
            return
        self.events += 1
        if self.events == self._moment + 1:
            self._there.set()
            assert self._go_on.wait(HELD), f"held for {HELD} s: somebody waits for what this thread does"

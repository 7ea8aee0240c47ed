"""Lanes: work that threads of the process do, in order within a lane, and several lanes at once.

A signal's handler may raise, as Ctrl-C does, wherever its thread is in Python. A thread that is then half started, or a
condition half waited for, keeps the interpreter from ending or stays locked for ever: such are the threads, executors
and futures of the standard library, which are written in Python. So here whoever gives out work uses the queues, locks
and thread starts that are written in C, each of them done or not done, and all else is done in threads that no handler
runs in. They are a few for the whole process, one for each processor, started when there is work that none of them is
free for; they end with the interpreter, and a forked child begins without any.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

THREADS = max(2, os.cpu_count() or 1)
"""At most so many, and two at least: of two uploads none waits for the other."""


class Task:
    """A piece of work in a lane."""

    def __init__(self) -> None:
        """Be to do."""
        self.failure: BaseException | None = RuntimeError("cut off")
        """Why it failed; of one that is done, None if it did not."""
        self._done = False
        self._underway = allocate_lock()
        self._underway.acquire()

    def do(self, work: Callable[[], object]) -> None:
        """Do the work, and keep its error for whoever waits."""
        try:
            work()
            self.failure = None
        except BaseException as error:  # noqa: BLE001  (it is raised where the work is waited for)
            self.failure = error
        finally:
            self._done = True
            self._underway.release()

    def wait(self) -> BaseException | None:
        """Wait until it is done, and return why it failed.

        Raises:
            RuntimeError: the interpreter ends, and with it the thread that was at it.
        """
        if not self._done:
            if sys.is_finalizing():
                raise RuntimeError("the interpreter ends in the middle of a task")
            self._underway.acquire()  # and kept: a wait that was interrupted just then is over the next time
        return self.failure


class Lane:
    """Tasks that are done one after the other, in the order they came in."""

    def __init__(self) -> None:
        """Have nothing to do."""
        self._tasks: SimpleQueue[tuple[Task, Callable[[], object]]] = SimpleQueue()
        self._busy = allocate_lock()  # taken by whoever gives the lane out, given back by whoever has drained it

    def add(self, work: Callable[[], object]) -> Task:
        """Have some work done, as soon as a thread is free for it; without any thread it is done here and now.

        Interrupted, it may have given the lane to nobody, and is not used again.
        """
        task = Task()
        self._tasks.put((task, work))
        if self._busy.acquire(blocking=False):
            _threads.serve(self)
        return task

    def drain(self) -> None:
        """Do all there is to do, and what comes meanwhile."""
        while True:
            self._do_all()
            self._busy.release()
            if self._tasks.empty() or not self._busy.acquire(blocking=False):
                return

    def _do_all(self) -> None:
        with suppress(Empty):
            while True:
                task, work = self._tasks.get_nowait()
                task.do(work)
                del task, work


class _Threads:
    """The threads of a process. Each takes a seat; one that finds none ends at once."""

    def __init__(self) -> None:
        self._lanes: SimpleQueue[Lane] = SimpleQueue()
        self._free: SimpleQueue[None] = SimpleQueue()  # an entry for each thread that nobody has given a lane to
        self._seats: SimpleQueue[None] = SimpleQueue()
        for _ in range(THREADS):
            self._seats.put(None)

    def serve(self, lane: Lane) -> None:
        """Have a thread drain a lane, a new one if none is free; where none is to be had, drain it."""
        if sys.is_finalizing() or not self._claim():  # at the end of the interpreter all threads but one stand still
            lane.drain()
        else:
            self._lanes.put(lane)

    def _claim(self) -> bool:
        """Make sure that there is a thread, and one more if none is free; tell whether there is any."""
        try:
            self._free.get_nowait()
        except Empty:
            if not self._seats.empty():
                return self._start() or self._seats.qsize() < THREADS
        return True

    def _start(self) -> bool:
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # at a limit of the system's
            return False
        return True

    def _run(self) -> None:  # pragma: no cover  (coverage does not see these threads)
        try:
            self._seats.get_nowait()
        except Empty:
            return
        while True:
            self._lanes.get().drain()
            self._free.put(None)


_threads = _Threads()


def _begin_anew() -> None:
    global _threads  # noqa: PLW0603  (the child's own)
    _threads = _Threads()


if hasattr(os, "register_at_fork"):  # pragma: no branch  (not on Windows)
    os.register_at_fork(after_in_child=_begin_anew)

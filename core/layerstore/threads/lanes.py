"""Lanes: work for worker threads of the process, in order within a lane, and several lanes at once.

A signal handler may raise, as Ctrl-C does, at any point of its thread's Python code. The threads, executors and futures
of the standard library are written in Python. An interrupt can leave a thread half started, and the interpreter cannot
end; or it can leave a condition locked for ever. So the code here that hands out work uses only queues, locks and
thread starts that are written in C: each of them happens as a whole or not at all. Everything else happens in worker
threads, in which no handler runs. A process has at most one for each processor, or two. A worker is started if there is
work and none is free. The workers end with the interpreter, and a forked child begins without any.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

THREADS = max(2, os.cpu_count() or 1)
"""The most worker threads; two at least, so that of two uploads neither waits for the other."""


class Task:
    """A piece of work in a lane."""

    def __init__(self) -> None:
        """Begin as not done."""
        self.failure: BaseException | None = RuntimeError("cut off")
        """The error with which it failed; None once it is done without one."""
        self._done = False
        self._underway = allocate_lock()
        self._underway.acquire()

    def do(self, work: Callable[[], object]) -> None:
        """Do the work, and keep its error for :meth:`wait`."""
        try:
            work()
            self.failure = None
        except BaseException as error:  # noqa: BLE001  (it is raised where the work is waited for)
            self.failure = error
        finally:
            self._done = True
            self._underway.release()

    def wait(self) -> BaseException | None:
        """Wait until it is done, and return the error with which it failed, or None.

        Raises:
            RuntimeError: the interpreter ends, and with it the thread that did the work.
        """
        if not self._done:
            if sys.is_finalizing():
                raise RuntimeError("the interpreter ends in the middle of a task")
            self._underway.acquire()  # and kept: a wait that was interrupted just then is over the next time
        return self.failure


class Lane:
    """Tasks that are done one after the other, in the order in which they came."""

    def __init__(self) -> None:
        """Begin with no tasks."""
        self._tasks: SimpleQueue[tuple[Task, Callable[[], object]]] = SimpleQueue()
        self._busy = allocate_lock()  # taken to hand the lane out, given back after it was drained

    def add(self, work: Callable[[], object]) -> Task:
        """Queue work for the next free thread, and return its task; without any thread the work is done here at once.

        If this is interrupted, no thread may have the lane: the lane must not be used again.
        """
        task = Task()
        self._tasks.put((task, work))
        if self._busy.acquire(blocking=False):
            _threads.serve(self)
        return task

    def drain(self) -> None:
        """Do all tasks, including those that are added meanwhile."""
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
        """Let a thread drain a lane, a new one if none is free; if no thread can be started, drain it here."""
        if sys.is_finalizing() or not self._claim():  # at the end of the interpreter all threads but one stand still
            lane.drain()
        else:
            self._lanes.put(lane)

    def _claim(self) -> bool:
        """Start a thread if none is free and there may be one more; return whether there is any."""
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

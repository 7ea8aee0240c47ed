"""The threads of a driver: a few, made when first needed, and its own in every process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from layerstore.threads.process import this_process


class Pool:
    """The threads of one driver, made when first needed."""

    def __init__(self, threads: int, name: str) -> None:
        """Have at most so many, whose names begin with ``layerstore-`` and this one."""
        self.threads = threads
        self._name = f"layerstore-{name}"
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._process = this_process()

    def submit(self, act: Callable[[], None]) -> Future[None]:
        """Have a thread do something. When the program ends, no thread can be started, and it is done here at once."""
        if self._process != this_process():  # no thread comes along through a fork, and perhaps a lock that is held
            self._process, self._lock, self._pool = this_process(), threading.Lock(), None
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix=self._name)
            with suppress(_NoThreadError):
                return _submit(self._pool, act)
        return _done_here(act)

    def close(self) -> None:
        """Let the threads end when they have nothing more to do."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)


class _NoThreadError(Exception):
    """The program ends: its main thread has ended, and other threads, or handlers at exit, are at work."""


def _submit(pool: ThreadPoolExecutor, act: Callable[[], None]) -> Future[None]:
    try:
        return pool.submit(act)
    except RuntimeError as error:
        if threading.main_thread().is_alive():
            raise
        raise _NoThreadError from error


def _done_here(act: Callable[[], None]) -> Future[None]:
    done: Future[None] = Future()
    try:
        act()
        done.set_result(None)
    except Exception as error:  # noqa: BLE001  (it is raised where the work is waited for)
        done.set_exception(error)
    return done

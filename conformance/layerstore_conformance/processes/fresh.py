"""Fresh processes: each is forked from one that has imported the suite, and has never opened a store.

To start an interpreter and to import the suite takes ten times as long as to fork one that has, and a run starts more
than a hundred. This process itself cannot be forked: it has threads, and what its drivers keep.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Final, NamedTuple

Main = Callable[[Connection], object]
"""What a process does with its end of a pipe: a module-level function, which is sent by name."""

LOOK: Final = 0.001
"""Seconds between two looks whether a process has ended."""

_lock = threading.Lock()
_origins: list[_Origin] = []
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_origins.clear)  # its pipe is the parent's


def fork(main: Main, pipe: Connection) -> Process:
    """Have a fresh process do ``main`` with this end of a pipe, and then end as a program does."""
    with _lock:
        if not _origins:
            _origins.append(_Origin())
        return _origins[0].fork(main, pipe)


class Process:
    """A fresh process, to be used as one of ``subprocess``."""

    def __init__(self, origin: _Origin, pid: int) -> None:
        """Note by which process it was forked."""
        self._origin = origin
        self.pid = pid
        self.returncode: int | None = None

    def kill(self) -> None:
        """Kill it, unless it has ended and was waited for."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit status, as ``Popen.wait`` does."""
        while self.returncode is None:
            self.returncode = self._origin.ended(self.pid)
            if self.returncode is None:
                time.sleep(LOOK)
        return self.returncode


class _Surroundings(NamedTuple):
    """What a process has from the one that wants it."""

    environment: dict[str, str]
    path: list[str]
    directory: str

    @classmethod
    def here(cls) -> _Surroundings:
        path = os.pathsep.join(filter(None, sys.path))
        return cls({**os.environ, "PYTHONPATH": path}, sys.path, os.getcwd())

    def enter(self) -> None:
        os.environ.clear()
        os.environ.update(self.environment)
        time.tzset()
        sys.path[:] = self.path
        os.chdir(self.directory)


class _Origin:
    """The process that forks the others, as the one that wants them sees it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"from {__name__} import be_origin; be_origin({theirs.fileno()})"],
                env=_Surroundings.here().environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def fork(self, main: Main, pipe: Connection) -> Process:
        with self._turn:
            self._pipe.send((main, _Surroundings.here()))
            send_handle(self._pipe, pipe.fileno(), self._process.pid)
            return Process(self, self._pipe.recv())

    def ended(self, pid: int) -> int | None:
        """Return the exit status of a process, if it has ended: once, since it is forgotten then."""
        with self._turn:
            self._pipe.send(pid)
            code: int | None = self._pipe.recv()
            return code

    def _end(self) -> None:
        with suppress(OSError):  # it has died
            self._pipe.send(None)
        self._process.wait()


def be_origin(descriptor: int) -> None:
    """Fork processes, until the one at the other end of the pipe ends; in each of them, do what it is for."""
    with Connection(descriptor) as pipe:
        main = _forked(pipe)
    if main is not None:
        main()


def _forked(pipe: Connection) -> Callable[[], object] | None:
    """Fork what is asked for; return what the process is for in each of them, and None in this one, at its end."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    living: set[int] = set()
    with suppress(EOFError, ConnectionError):
        while asked := pipe.recv():
            if isinstance(asked, int):
                pid, status = os.waitpid(asked, os.WNOHANG)
                living.discard(pid)
                pipe.send(os.waitstatus_to_exitcode(status) if pid else None)
                continue
            main, surroundings = asked
            theirs = Connection(recv_handle(pipe))
            pid = os.fork()
            if not pid:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
                surroundings.enter()
                return partial(main, theirs)
            theirs.close()
            living.add(pid)
            pipe.send(pid)
    for pid in living:  # what hangs was given up
        os.kill(pid, signal.SIGTERM)
    return None

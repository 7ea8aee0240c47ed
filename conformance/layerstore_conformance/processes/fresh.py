"""Fresh processes: each is forked from an *origin*, which has imported the suite, and has never opened a store.

To start an interpreter and to import the suite takes ten times as long as to fork one that has, and a run starts more
than a hundred. This process itself cannot be forked: it has threads, and what its drivers keep. ``multiprocessing`` has
such a server, too: its processes do not end as programs do, and have the environment of its start.
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
from contextlib import ExitStack, suppress
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle
from typing import Final

from layerstore_conformance.kit.another_python import command, environment

Main = Callable[[Connection], object]
"""What a process does with its end of a pipe: a module-level function, which is sent by name."""

STREAMS: Final = (1, 2)
"""Descriptors that a process has from the one that wants it: standard output and error, if they are open."""

LOST: Final = 255
"""The exit status of a process whose origin has died: nobody knows it."""


class _Origins:
    """The origin of this process, started when it is first needed, and again if it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origin: _Origin | None = None

    def fork(self, main: Main, pipe: Connection) -> Process:
        answers, theirs = Pipe(duplex=False)
        with theirs, self._lock:
            try:
                self._ask(main, pipe, theirs)
            except ConnectionError:  # it has died
                self._ask(main, pipe, theirs)
        return Process(answers)

    def _ask(self, main: Main, pipe: Connection, answers: Connection) -> None:
        self._origin = self._origin or _Origin()
        try:
            self._origin.ask(main, pipe, answers)
        except BaseException:  # it may have a part of the request
            self._origin.end()
            self._origin = None
            raise

    def forget(self) -> None:
        """Forget the origin, in a process that was forked: it is the parent's."""
        if self._origin is not None:
            self._origin.leave()
        self._lock = threading.Lock()
        self._origin = None


_origins = _Origins()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_origins.forget)


def fork(main: Main, pipe: Connection) -> Process:
    """Have a fresh process do ``main`` with this end of a pipe, and then end as a program does.

    It has the environment, directory, standard output and error, and path of modules that this process has now. Umask,
    limits and user are those of the origin, as is the seed of ``hash``.
    """
    return _origins.fork(main, pipe)


class Process:
    """A fresh process, to be used as one of ``subprocess``."""

    def __init__(self, answers: Connection) -> None:
        """Receive its number.

        Raises:
            AssertionError: the origin has died.
            Exception: it could not be forked, or ``main`` not be imported.
        """
        self._answers = answers
        self._turn = threading.Lock()
        self.returncode: int | None = None
        try:
            found = answers.recv()
        except EOFError:
            raise AssertionError("the origin of fresh processes has died") from None
        if isinstance(found, Exception):
            raise found
        self.pid: int = found

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        with suppress(ProcessLookupError):
            if self.returncode is None and not self._answers.poll():
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit status, as ``Popen.wait`` does."""
        with self._turn:
            if self.returncode is None:
                try:
                    self.returncode = int(self._answers.recv())
                except (EOFError, OSError):
                    self.returncode = LOST
                self._answers.close()
            return self.returncode


class _Origin:
    """The process that forks the others, as the one that wants them sees it."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                command("-c", f"from {__name__} import be_origin; be_origin({theirs.fileno()})"),
                env=environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.end)

    def ask(self, main: Main, pipe: Connection, answers: Connection) -> None:
        """Have it fork: it sends the process's number, or an error, and then the exit status, to ``answers``."""
        directory = os.open(".", os.O_RDONLY)
        try:
            streams = [number for number in STREAMS if _is_open(number)]
            self._pipe.send((environment(), streams))
            for number in (pipe.fileno(), answers.fileno(), directory, *streams):
                send_handle(self._pipe, number, self._process.pid)
            self._pipe.send(main)
        finally:
            os.close(directory)

    def end(self) -> None:
        """Have it end, and what it has forked."""
        atexit.unregister(self.end)
        self._pipe.close()
        self._process.wait()

    def leave(self) -> None:
        """Leave it to the process that has started it."""
        self._pipe.close()
        self._process.returncode = 0  # as if it had been waited for: it is no child of this process


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def be_origin(descriptor: int) -> None:
    """Fork what is asked for, until the other end of the pipe is closed; in each process, do what it is for."""
    with Connection(descriptor) as pipe:
        work = _Forking(pipe).forked()
    if work is not None:
        work()


class _Forking:
    """What the origin does."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._living: dict[int, Connection] = {}
        """Of each process that has not ended, where its status is sent."""
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        self._handlers = {
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda *_: None),  # writes to what wakes
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        }

    def forked(self) -> Callable[[], object] | None:
        """Fork; return in each process what it is for, and in this one None, when nobody asks any more."""
        with suppress(EOFError, ConnectionError):
            while True:
                if self._pipe not in wait([self._pipe, self._woken]):
                    self._tell_who_has_ended()
                elif (work := self._fork()) is not None:
                    return work
        for pid in self._living:  # it hangs, or its user is gone
            os.kill(pid, signal.SIGKILL)
        return None

    def _tell_who_has_ended(self) -> None:
        os.read(self._woken, 4096)
        for pid in list(self._living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with self._living.pop(pid) as answers, suppress(OSError):
                    answers.send(os.waitstatus_to_exitcode(status))

    def _fork(self) -> Callable[[], object] | None:
        surroundings, streams = self._pipe.recv()
        sys.path[:] = surroundings["PYTHONPATH"].split(os.pathsep)
        pipe, answers = (Connection(recv_handle(self._pipe)) for _ in range(2))
        with ExitStack() as received:
            directory, *given = (recv_handle(self._pipe) for _ in range(1 + len(streams)))
            for number in (directory, *given):
                received.callback(os.close, number)
            try:
                main = self._pipe.recv()  # which imports its module, for all that come
                pid = os.fork()
            except Exception as error:  # noqa: BLE001  (raised in the process that asked)
                with pipe, answers:
                    answers.send(error)
                return None
            if not pid:
                self._leave(answers)
                _enter(surroundings, directory, dict(zip(streams, given, strict=True)))
                return partial(main, pipe)
        pipe.close()
        self._living[pid] = answers
        with suppress(OSError):  # nobody waits for it any more
            answers.send(pid)
        return None

    def _leave(self, answers: Connection) -> None:
        """Give back, in a process that was forked, what is the origin's."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._woken)
        os.close(self._wakes)
        for each in (answers, *self._living.values()):
            each.close()


def _enter(surroundings: dict[str, str], directory: int, streams: dict[int, int]) -> None:
    """Take the surroundings of the process that asked."""
    os.environ.clear()
    os.environ.update(surroundings)
    time.tzset()
    os.fchdir(directory)
    for number in STREAMS:
        if number in streams:
            os.dup2(streams[number], number)
        else:
            with suppress(OSError):
                os.close(number)

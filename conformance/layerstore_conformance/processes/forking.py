"""Fork, and hear from the child: in a process without threads, as one started by ``processes.elsewhere`` is.

A child that waits for a thread or a lock that only its parent has would wait for ever: an alarm ends it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import Pipe
from typing import TYPE_CHECKING, NoReturn, Self

from layerstore_conformance.kit.unwritten import sendable

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import TracebackType

LONGEST = 60
"""Seconds after which an alarm kills a child that has not ended; the parent then raises."""

DONE = "done"


def exit_at_once() -> NoReturn:
    """End like a pool's worker: nothing is closed, collected or called at exit."""
    os._exit(0)


def exit_as_a_program() -> NoReturn:
    """End like a program: functions registered at exit are called, and objects collected."""
    raise SystemExit


class Forked:
    """A forked child that does something and ends; the ``with`` block waits for its end.

    ::

        with Forked(lambda parent: parent.send(work())) as child:
            found = child.hear()
    """

    def __init__(
        self, work: Callable[[Connection], object], end: Callable[[], NoReturn] = exit_at_once, longest: int = LONGEST
    ) -> None:
        """Fork; the child does ``work``, which takes a pipe to the parent, and then ends itself by ``end``.

        After ``longest`` seconds an alarm kills it.
        """
        self._pipe, theirs = Pipe()
        self._pid = os.fork()
        if not self._pid:
            self._pipe.close()
            _live(work, theirs, end, longest)
        theirs.close()

    def hear(self) -> object:
        """Return the child's next message; an error of the child is raised here.

        Raises:
            AssertionError: the child has died.
        """
        try:
            heard: object = self._pipe.recv()
        except EOFError:
            raise AssertionError(f"the forked child died: {self._ended()}") from None
        if isinstance(heard, Exception):
            raise heard
        return heard

    def say(self, word: object) -> None:
        """Send something to the child."""
        self._pipe.send(word)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._pipe:
            if error is not None:
                return
            heard = self.hear()
            assert heard == DONE, f"the forked child says {heard!r}, and is not done"
            ended = self._ended()
            assert ended == "exit status 0", f"the forked child was done, and then ended with {ended}"

    def _ended(self) -> str:
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _live(
    work: Callable[[Connection], object], parent: Connection, end: Callable[[], NoReturn], longest: int
) -> NoReturn:
    signal.alarm(longest)
    try:
        try:
            work(parent)
        except Exception as error:  # noqa: BLE001  (raised in the parent)
            parent.send(sendable(error))
        else:
            parent.send(DONE)
        end()
    except (EOFError, OSError):  # the parent has closed the pipe
        os._exit(1)

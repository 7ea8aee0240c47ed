"""SIGINT and SIGTERM as an exception that is raised where it does no harm."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """A signal asks the program to stop. It is no ``Exception``, so that no code on the way handles it as a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that a shell reports for a program killed by the signal."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}"


class Signals:
    """Turn signals into :class:`Stopped`: at once or, while held, afterwards; a second signal while held, at once."""

    def __init__(self) -> None:
        self._holding = False
        self._waiting: Stopped | None = None

    def install(self) -> None:
        """Handle both signals from now on; a signal that was ignored when the program was started stays ignored."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.receive)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Raise ``Stopped``, now or later: the handler."""
        if self._holding and self._waiting is None:
            self._waiting = Stopped(number)
            return
        self._waiting = None
        raise Stopped(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the block end first: a write that is cut off leaves its hash state in doubt."""
        with self._switched(holding=True):
            yield
        self._deliver()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Within a held block, raise at once: reading from a pipe may take for ever."""
        with self._switched(holding=False):
            self._deliver()
            yield

    @contextmanager
    def _switched(self, *, holding: bool) -> Iterator[None]:
        before, self._holding = self._holding, holding
        try:
            yield
        finally:
            self._holding = before

    def _deliver(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            raise waiting


signals = Signals()
"""The only instance: a process has one handler for each signal."""

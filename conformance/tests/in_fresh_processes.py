"""What the fresh processes of ``test_fresh`` do: they import it by its name."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

kept: list[str] = []
"""What a driver might keep in its process."""


def tell_what_is_kept(pipe: Connection) -> None:
    """Tell it, and keep something."""
    pipe.send(list(kept))
    kept.append("by a process before")


def tell_surroundings(pipe: Connection) -> None:
    """Tell variables, zone, directory, and where modules are looked for."""
    pipe.send((dict(os.environ), time.tzname[0], os.getcwd(), sys.path))


def tell_handlers(pipe: Connection) -> None:
    """Tell what an interrupt, and a request to end, would do."""
    pipe.send([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])


def wait(pipe: Connection) -> None:
    """Wait until the pipe is closed."""
    pipe.send("waits")
    with pytest.raises(EOFError):
        pipe.recv()


def fail(pipe: Connection) -> None:
    """Fail as a program does."""
    sys.stderr.close()
    pipe.close()
    raise LookupError


def say(pipe: Connection) -> None:
    """Say something, to standard error."""
    pipe.close()
    sys.stderr.write("said\n")


def tell_parent(pipe: Connection) -> None:
    """Tell who has forked it."""
    pipe.send(os.getppid())


def hang(pipe: Connection) -> None:
    """Take no notice of the pipe's end."""
    pipe.send("hangs")
    signal.pause()

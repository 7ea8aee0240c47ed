"""A process of its own: a fresh interpreter, and a pipe to it. It has nothing that a driver keeps in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Child:
    """A Python program at the other end of a pipe; it ends with its ``with`` block, even after an error."""

    def __init__(self, *words: str) -> None:
        """Start ``python`` with ``words``, followed by the descriptor of its end of the pipe."""
        self._pipe, theirs = Pipe()
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", *words, str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.wait()

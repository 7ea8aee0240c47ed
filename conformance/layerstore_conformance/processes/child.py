"""A process of its own, and a pipe to it. It has nothing that a driver keeps in this process."""

from __future__ import annotations

from multiprocessing import Pipe
from typing import TYPE_CHECKING, Self

from layerstore_conformance.processes.fresh import Main, fork

if TYPE_CHECKING:
    from types import TracebackType


class Child:
    """A fresh process at the other end of a pipe; it ends with its ``with`` block, even after an error."""

    def __init__(self, main: Main) -> None:
        """Have a process do ``main`` with its end of the pipe."""
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = fork(main, theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.wait()

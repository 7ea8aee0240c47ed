"""Servers for tests: a child process of this one, which ends with a block, or when somebody interrupts it."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class ServerProcess(ABC):
    """A server as a child process."""

    def __init__(self) -> None:
        """Begin without a process: nothing is started yet."""
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> Self:
        """Start it, and wait until it serves."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it; stopping again does nothing."""

    def wait(self) -> None:
        """Wait until it ends."""
        if self._process is not None:
            self._process.wait()

    def serve(self, url: str) -> None:
        """Print the URL of a store on it, and wait until it ends or this process is interrupted."""
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            self.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

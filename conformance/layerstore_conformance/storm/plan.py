"""The plan of a storm: the store, how much is done, and the signals that processes get."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Signal = Literal["kill", "stop", "interrupt"]

SIGNALS: tuple[Signal, ...] = ("kill", "stop", "interrupt")


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of one storm; its director and its workers share them."""

    url: str
    """The store. The driver must declare ``shared``."""
    prefix: str
    """A key: the storm stores nothing but below it."""
    folder: Path
    """An empty directory, for the journals and the stacks of workers."""
    seed: int = 0
    processes: int = 4
    """Workers at once."""
    operations: int = 2000
    """Operations that all workers together begin in a round."""
    signals: tuple[Signal, ...] = SIGNALS
    calm: int = 10
    """Operations between two signals, on average."""
    grace: float = 0.0
    """Age in seconds below which a blob is not collected. If a move is a copy and a deletion, a process may be stopped
    in between: this must be longer than the stop, and no process is stopped for more than half of it."""
    deadline: float = 60.0
    """Seconds that one operation may take, stops included; then the worker's stacks are dumped."""
    plant: tuple[str, ...] = ()
    """Planted defects, by id, to prove that a storm finds them."""

    @property
    def board(self) -> Path:
        """The directory in which workers share the digests of finishes that are about to begin."""
        return self.folder / "board"

"""The plan of a storm: which store, how much, and what befalls the processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Signal = Literal["kill", "stop", "interrupt"]

SIGNALS: tuple[Signal, ...] = ("kill", "stop", "interrupt")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one storm does; the same for its director and its workers."""

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
    """How many a round begins, all workers together."""
    signals: tuple[Signal, ...] = SIGNALS
    calm: int = 10
    """Operations between two signals, on average."""
    grace: float = 0.0
    """Seconds that a blob must be old to be collected. Where a move is a copy and a deletion, a process may be stopped
    in between: then this must be longer than that, and no process is stopped for more than half of it."""
    deadline: float = 60.0
    """Seconds that one operation may take, being stopped included; then the worker's stacks are dumped."""
    plant: tuple[str, ...] = ()
    """Planted defects, by id: for the proof that a storm finds something."""

    @property
    def board(self) -> Path:
        """Where workers tell each other the digest that an upload is about to be finished with."""
        return self.folder / "board"

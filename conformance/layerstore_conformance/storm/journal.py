"""A worker's journal: each operation, before it begins and after its end.

Each line is one ``write`` to a file opened for appending. When ``write`` has returned, the line survives the process,
whichever signal ends it. A crash of the machine is not part of a storm, so nothing is synced; a sync would also keep
workers from meeting each other. An operation without its second line may have been done, in part or whole.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any


class Journal:
    """The journal of one process."""

    def __init__(self, path: Path) -> None:
        """Begin it."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        self.number = 0
        """The number of the last operation."""

    def begin(self, do: str, asked: Mapping[str, object]) -> None:
        """Note an operation that is about to begin."""
        self.number += 1
        self._write({"do": do, "asked": asked})

    def end(self, how: str, told: Mapping[str, object]) -> None:
        """Note its result."""
        self._write({"how": how, "told": told})

    def _write(self, line: Mapping[str, object]) -> None:
        # The clock is the machine's: an operation that ends before another process begins one has the smaller time.
        text = json.dumps({"number": self.number, "at": time.monotonic_ns(), **line})
        os.write(self._file, f"{text}\n".encode())


@dataclass(slots=True)
class Operation:
    """One operation of one worker."""

    worker: str
    number: int
    do: str
    begun: float
    """Nanoseconds of the machine's monotonic clock."""
    asked: dict[str, Any]
    how: str = "cut off"
    """``done``, ``refused`` (by an error that is in order), ``interrupted``, ``surprise`` (any other error)."""
    ended: float = inf
    """When it had returned; until then it may take effect. It is unknown if the operation was interrupted or cut off: a
    request may still be under way."""
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def acknowledged(self) -> bool:
        """Whether it made a promise: it returned, or it finished a layer that was unlinked before it was opened."""
        unlinked = self.do in FINISHES and self.how == "refused" and self.told["error"] == "UnknownLayerError"
        return self.how == "done" or unlinked

    @property
    def possible(self) -> bool:
        """Whether it may have had an effect; it had none if it found nothing to remove."""
        return not (self.how == "refused" and self.told["error"] == NOTHING_THERE.get(self.do))

    def end(self, line: Mapping[str, Any]) -> None:
        """Take its second line into account."""
        self.how, self.told = line["how"], line["told"]
        self.ended = inf if self.how == "interrupted" else line["at"]

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.worker} #{self.number} {self.do} {_short(self.asked)}: {self.how} {_short(self.told)}".rstrip()


HEX = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
"""A sha256; twelve digits are enough for people."""

FINISHES = ("finish", "finish again")
"""The second is for an upload whose data became a blob when an earlier finish was cut off."""

NOTHING_THERE = {"unlink": "UnknownLayerError", "cancel": "UnknownUploadError"}


def read(paths: Iterator[Path]) -> list[Operation]:
    """Read journals, and return all operations in the order in which they were begun."""
    found: list[Operation] = []
    for path in paths:
        found += _operations(path)
    return sorted(found, key=lambda operation: operation.begun)


def _operations(path: Path) -> Iterator[Operation]:
    last: Operation | None = None
    for text in path.read_text().splitlines(keepends=True):
        if not text.endswith("\n"):
            break  # its writer was killed in the middle of it
        line = json.loads(text)
        if last is not None and "how" in line:
            last.end(line)
            yield last
            last = None
        else:
            last = Operation(path.stem, line["number"], line["do"], line["at"], line["asked"])
    if last is not None:
        yield last


def _short(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_cut(value)}" for name, value in fields.items())


def _cut(value: object) -> str:
    text = HEX.sub(r"\1...", str(value))
    return text if len(text) <= 100 else f"{text[:97]}..."

"""A life of an upload in a process of its own, which strace watches: ``python -m`` this module, and a request.

Before each driver call and after it the process writes down, by a system call that the trace has, which of its promises
holds.
"""

from __future__ import annotations

import copy
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from layerstore import LayerService, open_driver
from layerstore_conformance.engine.defect import defect_named, planted_before
from layerstore_conformance.kit.observed import ObservedDriver
from layerstore_conformance.promises.lifecycles import TrackedUpload

if TYPE_CHECKING:
    from collections.abc import Callable

    from layerstore.driver import Driver
    from layerstore_conformance.kit.observed import Call
    from layerstore_conformance.promises.promise import Promise


class Life(NamedTuple):
    """What is to be done: it is pickled."""

    opens: str | Callable[[], Driver]
    """The URL of the store, or what opens it."""
    lifecycle: Callable[[TrackedUpload], None]
    name: str
    """The repository."""
    seed: int
    planted: tuple[str, ...]
    """The planted defects."""
    marks: Path
    promises: Path


def opened(opens: str | Callable[[], Driver]) -> Driver:
    """Open a store."""
    return open_driver(opens) if isinstance(opens, str) else opens()


def so_far(life: TrackedUpload) -> Promise:
    """Return what is promised by now, and stays so."""
    promise = copy.copy(life)
    promise.content, promise.possible = bytearray(life.content), set(life.possible)
    promise.steps, promise.kept = list(life.steps), list(life.kept)
    promise.abandon()
    del promise.service, promise._also_tell  # noqa: SLF001  (of the same object)
    return promise


class Marks:
    """Writes down before and after each driver call which promise holds."""

    def __init__(self, path: Path) -> None:
        """Write to a file, outside of the store."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self.life: TrackedUpload | None = None
        self.promises: list[Promise] = []

    def before(self, call: Call) -> None:
        """Mark a call that is about to happen."""
        del call
        self.mark()

    def after(self, call: Call, result: object) -> None:
        """Mark a call that has happened."""
        del call, result
        self.mark()

    def mark(self) -> None:
        """Write the number of the present promise, if there is one."""
        if self.life is not None:
            if not self.promises or self.promises[-1].steps != self.life.steps:
                self.promises.append(so_far(self.life))
            os.write(self._fd, b"%d" % (len(self.promises) - 1))


def live(what: Life) -> None:
    """Make a store, live on it, and keep the promises."""
    marks = Marks(what.marks)
    with planted_before(opened(what.opens), map(defect_named, what.planted)) as driver:
        service = LayerService(ObservedDriver(driver, marks))
        service.driver.put("begun", b"")
        service.driver.delete("begun")
        marks.life = TrackedUpload(service, what.name, seed=what.seed)
        marks.mark()
        what.lifecycle(marks.life)
        marks.mark()
        marks.life.abandon()
        service.close()
    what.promises.write_bytes(pickle.dumps(marks.promises))


if __name__ == "__main__":
    live(pickle.loads(Path(sys.argv[1]).read_bytes()))  # noqa: S301  (of the process that has started this one)

"""Two processes on the same keys, in every order that a seed makes up: who owns a key, publishes (C3, F1 to F4)."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver

CHILD = """
import sys, pathlib
from layerstore.checked import CheckedDriver
from layerstore.errors import FencedError, PathNotFoundError
from layerstore_drivers.local import LocalDriver
driver, writers = CheckedDriver(LocalDriver(pathlib.Path(sys.argv[1]))), {}
for line in sys.stdin:
    try:
        exec(line)
        print("done", flush=True)
    except (FencedError, PathNotFoundError) as error:
        print(type(error).__name__, flush=True)
"""


class Process:
    """A process that does what it is told, line by line."""

    def __init__(self, root: Path) -> None:
        path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", CHILD, str(root)]
        self.child = subprocess.Popen(command, env=path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, code: str) -> str:
        """Run a line of code, and return ``done`` or the name of the error."""
        said, heard = _pipe(self.child.stdin), _pipe(self.child.stdout)
        said.write(f"{code}\n")
        said.flush()
        return heard.readline().strip()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[Process]]:
    """Start two processes on one store."""
    started = [Process(tmp_path), Process(tmp_path)]
    yield started
    for process in started:
        process.child.communicate(timeout=60)


class Model:
    """What is published under each key, and whose writer may publish what."""

    def __init__(self) -> None:
        self.published: dict[str, bytes] = {}
        self.owner: dict[str, int] = {}
        self.pending: dict[tuple[int, str], bytes] = {}

    def open(self, who: int, key: str) -> tuple[str, str]:
        """Open a writer."""
        self.owner[key], self.pending[who, key] = who, self.published.get(key, b"")
        return f"writers[{key!r}] = driver.open_writer({key!r})", "done"

    def write(self, who: int, key: str, data: bytes, at_end: bool) -> tuple[str, str]:
        """Write at the end or the beginning; a fenced writer may be told now or later, and here is told nothing."""
        if self.owner.get(key) != who:
            return "pass", "done"
        old = self.pending[who, key]
        self.pending[who, key] = old + data if at_end else data + old[len(data) :]
        return f"w = writers[{key!r}]; w.seek({len(old) if at_end else 0}); w.write({data!r})", "done"

    def flush(self, who: int, key: str) -> tuple[str, str]:
        """Flush."""
        if (who, key) not in self.pending:
            return "pass", "done"
        if self.owner.get(key) == who:
            self.published[key] = self.pending[who, key]
        return f"writers[{key!r}].flush()", "done" if self.owner.get(key) == who else "FencedError"

    def put(self, key: str, data: bytes) -> tuple[str, str]:
        """Put."""
        self.published[key] = data
        self.owner.pop(key, None)
        return f"driver.put({key!r}, {data!r})", "done"

    def delete(self, key: str) -> tuple[str, str]:
        """Delete."""
        self.published.pop(key, None)
        self.owner.pop(key, None)
        return f"driver.delete({key!r})", "done"

    def move(self, key: str) -> tuple[str, str]:
        """Move to the other key."""
        target = "b" if key == "a" else "a"
        code = f"driver.move({key!r}, {target!r})"
        if key not in self.published:
            return code, "PathNotFoundError"
        self.published[target] = self.published.pop(key)
        self.owner.clear()
        return code, "done"


@pytest.mark.parametrize("seed", range(6))
def test_processes_fence_each_other(tmp_path: Path, processes: list[Process], seed: int) -> None:
    """After each of 120 steps a third driver sees what the model says, and each process was told so."""
    chance, model, observer = random.Random(seed), Model(), CheckedDriver(LocalDriver(tmp_path))
    for step in range(120):
        who, key, data = chance.randrange(2), chance.choice("ab"), b"%03d" % step
        acts: list[Callable[[], tuple[str, str]]] = [
            lambda: model.open(who, key),  # noqa: B023  (called at once)
            lambda: model.write(who, key, data, at_end=chance.random() < 0.7),  # noqa: B023
            lambda: model.flush(who, key),  # noqa: B023
            lambda: model.put(key, data),  # noqa: B023
            lambda: model.delete(key),  # noqa: B023
            lambda: model.move(key),  # noqa: B023
        ]
        code, expected = chance.choices(acts, [4, 8, 6, 1, 1, 1])[0]()
        assert processes[who](code) == expected, (seed, step, who, code)
        found = {key: observer.get(key, 9999) for key in list(observer.list(""))}
        assert found == model.published, (seed, step, who, code)

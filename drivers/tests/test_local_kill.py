"""Processes killed at every system call, or any time: what they leave is old or new, and in no one's way (W7, M2, D4).

The killing is done in a process of its own, which only forks: this one may have threads.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver, system

if TYPE_CHECKING:
    from tests.local_area import left_over
else:
    from local_area import left_over

CALLS = ["ftruncate", "mkdir", "open", "pwrite", "rename", "rmdir", "unlink", "utime"]


def _write(driver: CheckedDriver, key: str, offset: int) -> None:
    with driver.open_writer(key) as writer:
        writer.seek(offset)
        writer.write(b"ne")
        writer.write(b"w")


ACTS: dict[str, tuple[Callable[[CheckedDriver], None], dict[str, bytes]]] = {
    "put": (lambda driver: driver.put("d/new", b"new"), {"a/b": b"old", "d/new": b"new"}),
    "put over": (lambda driver: driver.put("a/b", b"new"), {"a/b": b"new"}),
    "flush new": (lambda driver: _write(driver, "d/new", 0), {"a/b": b"old", "d/new": b"new"}),
    "flush appended": (lambda driver: _write(driver, "a/b", 3), {"a/b": b"oldnew"}),
    "flush rewritten": (lambda driver: _write(driver, "a/b", 0), {"a/b": b"new"}),
    "move": (lambda driver: driver.move("a/b", "d/new"), {"d/new": b"old"}),
    "delete": (lambda driver: driver.delete("a"), {}),
}


def _content(driver: CheckedDriver) -> dict[str, bytes]:
    return {key: driver.get(key, 9999) for top in list(driver.list("")) for key in list(driver.list(top.rstrip("/")))}


def _run(call: str) -> None:
    """Run a function of this module in a process of its own."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    code = f"import os, test_local_kill as kill; os.fsync = os.fdatasync = lambda fd: None; kill.{call}"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=300)


@pytest.mark.parametrize("act", ACTS)
def test_killed_at_whichever_call_the_store_is_whole(tmp_path: Path, act: str) -> None:
    """Before each system call of an operation the process is killed once; the next one finds all old or all new."""
    _run(f"at_every_call({str(tmp_path)!r}, {act!r})")


def at_every_call(where: str, act: str) -> None:
    """Kill a child before its first system call, then one before its second, and so on until one comes through."""
    for number in itertools.count():
        root = Path(where) / str(number)
        CheckedDriver(LocalDriver(root)).put("a/b", b"old")
        pid = os.fork()
        if not pid:
            _die_at(number)
            ACTS[act][0](CheckedDriver(LocalDriver(root)))
            os._exit(0)
        survived = os.waitpid(pid, 0)[1] == 0
        _check(root, act, number)
        if survived:
            assert number > 10
            return


def _die_at(number: int) -> None:
    counter = itertools.count()

    def deadly(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if next(counter) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))
    if openat2 := system._openat2():
        system._openat2 = lambda: deadly(openat2)  # type: ignore[assignment]  # in a child that dies of it


def _check(root: Path, act: str, number: int) -> None:
    run, after = ACTS[act]
    driver = CheckedDriver(LocalDriver(root))
    found = _content(driver)
    assert found in ({"a/b": b"old"}, after), (number, found)
    if found != after:
        run(driver)
    assert _content(driver) == after, number
    driver.put("any", b"")
    assert left_over(root) == [], number


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_time_nothing_unflushed_appears(tmp_path: Path, seed: int) -> None:
    """Fifteen processes after each other work on one store until they are killed; what they acknowledged is there."""
    _run(f"at_any_time({str(tmp_path)!r}, {seed})")


def at_any_time(root: str, seed: int) -> None:
    """Kill children after a random number of acknowledgements, at whatever they are doing by then."""
    chance, done = random.Random(seed), 0
    for _ in range(15):
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            _work(CheckedDriver(LocalDriver(Path(root))), writing, done)
        os.close(writing)
        acknowledged = done
        for _ in range(chance.randrange(1, 12)):
            acknowledged = int.from_bytes(os.read(reading, 4), "big")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        done = _check_work(CheckedDriver(LocalDriver(Path(root))), acknowledged)


def _line(number: int) -> bytes:
    return b"%06d\n" % number


def _work(driver: CheckedDriver, acknowledge: int, done: int) -> None:
    """Append a numbered line in two halves, and let an object of that number come, move, and the one before it go."""
    writer = driver.open_writer("log/lines")
    for number in itertools.count(done):
        writer.write(_line(number)[:3])
        writer.write(_line(number)[3:])
        writer.flush()
        driver.put(f"p/{number}", _line(number))
        driver.move(f"p/{number}", f"m/{number}")
        driver.delete(f"m/{number - 1}")
        os.write(acknowledge, (number + 1).to_bytes(4, "big"))


def _check_work(driver: CheckedDriver, acknowledged: int) -> int:
    lines = driver.get("log/lines", 99999)
    count = len(lines) // len(_line(0))
    assert count >= acknowledged
    assert lines == b"".join(map(_line, range(count)))
    found = {key: driver.get(key, 99) for prefix in "pm" for key in list(driver.list(prefix))}
    assert all(data == _line(int(key[2:])) for key, data in found.items())
    assert max(int(key[2:]) for key in found) >= acknowledged - 1
    with driver.open_writer("log/lines") as writer:
        assert writer.size == len(lines)
    return count

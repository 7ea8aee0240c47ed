"""An exception at any line of the local driver, as a signal's handler may raise one: nobody waits for a lock for ever.

Each program is run once for every place, or a sample of them (``LAYERSTORE_EXHAUSTIVE=1`` has all), by a child that is
interrupted there and nowhere else. It then does what an ordinary program does, while it still handles the exception.
"""

import fcntl
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import layerstore
from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver, locks

pytestmark = pytest.mark.once

PACKAGE = str(Path(locks.__file__).parent)
EXHAUSTIVE = "LAYERSTORE_EXHAUSTIVE" in os.environ
PLACES = 30
"""Places of each program that are tried, unless all are; beside each in the module of locks, once."""
CHUNK = bytes(range(256)) * 16


class Interruption:
    """A trace function that raises once, at one of the lines, or instructions, that the driver runs."""

    def __init__(self, place: int, *, opcodes: bool) -> None:
        self.place, self.opcodes = place, opcodes
        self.seen: list[tuple[str, int, int]] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401  (as settrace wants it)
        """Trace the driver's functions only."""
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = self.opcodes
        return self._at

    def _at(self, frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401  (as settrace wants it)
        if event == ("opcode" if self.opcodes else "line"):
            self.seen.append((frame.f_code.co_filename, frame.f_lineno, frame.f_lasti))
            if len(self.seen) == self.place:
                raise KeyboardInterrupt(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return self._at


def upload_and_cancel(root: Path, trace: Interruption) -> None:
    """Write in a loop, and cancel when interrupted."""
    upload = layerstore.open(f"local:{root}").upload("demo")
    try:
        sys.settrace(trace)
        for _ in range(3):
            upload.write(CHUNK)
            upload.flush()
    except KeyboardInterrupt:
        upload.cancel()
    finally:
        sys.settrace(None)
    upload.cancel()


def upload_and_resume(root: Path, trace: Interruption) -> None:
    """Write in a loop, and when interrupted go on with another handle."""
    store = layerstore.open(f"local:{root}")
    upload = store.upload("demo")
    upload.flush()
    try:
        sys.settrace(trace)
        for _ in range(3):
            upload.write(CHUNK)
            upload.flush()
    except KeyboardInterrupt:
        again = store.resume("demo", upload.uuid)
        again.write(CHUNK)
        again.cancel()
    finally:
        sys.settrace(None)


def every_method(root: Path, trace: Interruption) -> None:
    """Put, write, move and delete, and when interrupted do it all again."""
    driver = CheckedDriver(LocalDriver(root))
    try:
        sys.settrace(trace)
        _all(driver)
    except KeyboardInterrupt:
        _all(driver)
    finally:
        sys.settrace(None)


def _all(driver: CheckedDriver) -> None:
    driver.put("a/b", b"old")
    writer = driver.open_writer("a/b")
    writer.write(b"discarded")
    with driver.open_writer("a/b") as later:
        later.write(b"new")
        later.flush()
        later.seek(1)
        later.write(b"ew")
    writer.discard()
    driver.move("a/b", "c", version=driver.stat("a/b").version)
    driver.delete("c")


PROGRAMS: dict[str, Callable[[Path, Interruption], None]] = {
    program.__name__: program for program in (upload_and_cancel, upload_and_resume, every_method)
}


@pytest.mark.parametrize("opcodes", [False, True], ids=["lines", "opcodes"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_interrupted_program_leaves_no_lock_held(tmp_path: Path, program: str, opcodes: bool) -> None:
    """Wherever it is interrupted, what it calls next returns, and no other process has to wait for it (T2, F1)."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    code = f"import test_local_interrupts as tests; tests.attack({str(tmp_path)!r}, {program!r}, opcodes={opcodes})"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=3000)


def attack(where: str, program: str, *, opcodes: bool) -> None:
    """Interrupt children, each at another place; in a process of its own, which has no threads to fork with."""
    os.fsync = os.fdatasync = lambda fd: None
    locks.DEADLINE = 5.0
    never = Interruption(0, opcodes=opcodes)
    PROGRAMS[program](Path(where) / "all", never)
    chosen = _chosen(never, random.Random(program))
    failures = [failure for place in chosen if (failure := _interrupted(Path(where), program, place, opcodes=opcodes))]
    assert not failures, "\n".join([f"{len(failures)} of {len(chosen)}:", *failures])


def _chosen(never: Interruption, chance: random.Random) -> list[int]:
    """Choose places by their numbers: all, or some and one of those at each place where a lock is taken or given up."""
    numbers = range(1, len(never.seen) + 1)
    if EXHAUSTIVE:
        return list(numbers)
    at: dict[tuple[str, int, int], list[int]] = {}
    for number, place in enumerate(never.seen, 1):
        at.setdefault(place, []).append(number)
    locking = [chance.choice(at[place]) for place in at if place[0] == locks.__file__]
    return sorted({*locking, *chance.sample(numbers, PLACES)})


def _interrupted(where: Path, program: str, place: int, *, opcodes: bool) -> str | None:
    root, trace = where / str(place), Interruption(place, opcodes=opcodes)
    hearing, saying = os.pipe()
    heard, said = os.pipe()
    pid = os.fork()
    if not pid:
        _live(root, program, trace, saying, heard)
    os.close(saying)
    outcome = os.read(hearing, 1000).decode() or "it hung"
    held = _held(root)
    os.write(said, b"!")
    os.waitpid(pid, 0)
    for fd in (hearing, heard, said):
        os.close(fd)
    return None if outcome == "done" and not held else f"place {place}: {outcome}; locked: {held}"


def _live(root: Path, program: str, trace: Interruption, saying: int, heard: int) -> None:
    """Run the program in a child, which then lives on until its parent has looked at the locks."""
    signal.alarm(30)
    try:
        PROGRAMS[program](root, trace)
        os.write(saying, b"done")
    except BaseException as error:  # noqa: BLE001  (said to the parent, whatever it is)
        os.write(saying, repr(error).encode())
        os.read(heard, 1)
        os._exit(1)
    os.read(heard, 1)
    os._exit(0)


def _held(root: Path) -> list[str]:
    parts = [root / ".layerstore" / part for part in ("locks", "writers")]  # not there before anything was stored
    return [path.name for part in parts if part.is_dir() for path in part.iterdir() if _is_held(path)]


def _is_held(path: Path) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

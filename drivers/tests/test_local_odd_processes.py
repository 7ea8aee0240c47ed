"""What few processes do: fork without Python's hooks, or use the store in a signal's handler during a system call."""

import ctypes
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from layerstore import FencedError
from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver, locks, system
from layerstore_drivers.local.draft import Span
from layerstore_drivers.local.writer import LocalWriter

WORKERS = """
import ctypes, os, sys
from pathlib import Path
from layerstore_drivers.local import LocalDriver
from layerstore_drivers.local.draft import Draft

driver = LocalDriver(Path(sys.argv[1]))
driver.put("before", b"")
(reader, writer), fork = os.pipe(), ctypes.PyDLL(None).fork  # as a server in C forks: without Python's hooks
if not fork():
    draft = Draft(driver._area)
    draft.span.write(0, memoryview(b"half of another"), 0)
    os.write(writer, b"x")
    os._exit(0)
os.read(reader, 1)
driver.put("blob", b"the bytes")
print(len(list(Path(sys.argv[1]).glob(".layerstore/tmp/*"))), bytes(driver.open_reader("blob").read(99)))
"""


def test_workers_of_a_server_in_c_share_no_temporary_file(tmp_path: Path) -> None:
    """The session is its process's, also if Python was not told of the fork: no file is another's draft (T5)."""
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("1 b'the bytes'\n", "")


def test_a_handler_in_the_middle_of_a_call_leaves_its_error_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is not in the kernel's memory is opened the slow way, whatever a signal's handler met meanwhile."""
    driver, other = LocalDriver(tmp_path), CheckedDriver(LocalDriver(tmp_path))
    driver.put("a/key", b"data")
    if (openat2 := system._openat2()) is None:
        pytest.skip("this kernel has no openat2")
    cell = dict(zip(openat2.__code__.co_freevars, openat2.__closure__ or (), strict=True))["at_once"]
    real, cold = cell.cell_contents, [True]

    def interrupted(number: int, directory: int, name: bytes, how: object, size: int) -> int:
        if name == b"a/key" and cold:
            cold.clear()
            ctypes.set_errno(errno.EAGAIN)
            assert other.find("missing") is None  # a handler, before the number of the error is read
            return -1
        return int(real(number, directory, name, how, size))

    monkeypatch.setattr(cell, "cell_contents", interrupted)
    assert driver.stat("a/key").size == 4
    assert not cold


def test_a_flush_that_is_fenced_while_it_syncs_makes_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel comes while the bytes are made durable: the flush leaves nothing behind (F3)."""
    driver, other = LocalDriver(tmp_path), LocalDriver(tmp_path)
    writer = driver.open_writer("up/one/data")
    writer.write(b"x")
    writer.flush()
    writer.seek(0)
    writer.write(b"y")
    seal = LocalWriter._seal

    def sealed(self: LocalWriter, span: Span) -> None:
        seal(self, span)
        other.delete("up")

    monkeypatch.setattr(LocalWriter, "_seal", sealed)
    with pytest.raises(FencedError):
        writer.flush()
    assert not (tmp_path / "up").exists()


def test_a_handler_that_does_what_was_put_off_leaves_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's handler may use another store between a look at what was put off and the doing of it (T2)."""
    done: list[str] = []

    class Interrupted(locks._Held):
        @property
        def any(self) -> bool:
            if self.deferred:
                self.deferred.pop()()  # the handler comes here
            return False

    monkeypatch.setattr(locks, "_held", Interrupted())
    locks.when_free(lambda: done.append("released"))
    assert done == ["released"]


AT_EXIT = """
import atexit, sys
from pathlib import Path

def last():
    writer.write(b", two")
    writer.flush()
    driver.put("put", b"put")
    print(bytes(driver.open_reader("key").read(99)), *driver.list(""))

atexit.register(last)  # before the driver has anything to register: this runs when that has run
from layerstore.checked import CheckedDriver
from layerstore_drivers.local import LocalDriver

driver = CheckedDriver(LocalDriver(Path(sys.argv[1])))
writer = driver.open_writer("key")
writer.write(b"one")
if sys.argv[2:] == ["flushed"]:
    writer.flush()
"""


@pytest.mark.parametrize("state", ["flushed", "never flushed"])
def test_a_handler_that_runs_last_at_exit_uses_the_store(tmp_path: Path, state: str) -> None:
    """What the program registered before its first driver runs at exit when all else has run: the driver still works.

    The session has not ended by then, either, and its file goes with the next change.
    """
    command = [sys.executable, "-c", AT_EXIT, str(tmp_path), state]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("b'one, two' key put\n", "")
    other = LocalDriver(tmp_path)
    other.put("key", b"")
    assert len(list(tmp_path.glob(".layerstore/sessions/*"))) == 1, "another than that of the new driver"

"""A writer that is stopped in the middle of a write, or while it holds a lock: others go on, or are told who it is."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layerstore.checked import CheckedDriver
from layerstore.errors import BackendUnavailableError
from layerstore_drivers.local import LocalDriver, fencing, locks, record, system
from layerstore_drivers.local.area import lock_name, record_name
from layerstore_drivers.local.system import is_locked

FENCED = 3
OLD = b"published " * 1000

STOPPED_IN_A_WRITE = """
real = os.pwrite
def torn(fd, data, offset):
    if os.readlink(f"/proc/self/fd/{fd}") == str(root / "a"):
        real(fd, data[:5], offset)
        os.kill(os.getpid(), signal.SIGSTOP)
    return real(fd, data, offset)
os.pwrite = torn
writer = driver.open_writer("a")
writer.write(b"tail " * 1000)
writer.flush()
"""

STOPPED_UNDER_A_LOCK = """
real = os.rename
def late(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGSTOP)
    real(*args, **kwargs)
os.rename = late
driver.put("a", b"late")
"""

WRITING = """
writer = driver.open_writer("a")
data = bytes(8 << 20)
print("writing", flush=True)
while True:
    writer.seek(int(sys.argv[2]))
    writer.write(data)
"""


class Child:
    """A process that runs a program on a store, and exits by :data:`FENCED` if it is fenced."""

    def __init__(self, root: Path, program: str) -> None:
        body = program.replace("\n", "\n    ")
        code = f"""import os, pathlib, signal, sys
from layerstore.checked import CheckedDriver
from layerstore.errors import FencedError
from layerstore_drivers.local import LocalDriver
root = pathlib.Path(sys.argv[1])
driver = CheckedDriver(LocalDriver(root))
try:
    {body}
except FencedError:
    sys.exit({FENCED})
"""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, str(root), str(len(OLD))]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        self.pid = self.process.pid

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself."""
        assert os.WIFSTOPPED(os.waitpid(self.pid, os.WUNTRACED)[1])

    def go_on(self) -> int:
        """Let it go on, and return its exit status."""
        self.process.send_signal(signal.SIGCONT)
        return self.process.wait(timeout=60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    """Start children on the store below ``tmp_path``, and end them."""
    children: list[Child] = []

    def begin(program: str) -> Child:
        children.append(Child(tmp_path, program))
        return children[-1]

    yield begin
    for child in children:
        child.process.kill()
        child.process.communicate()


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedDriver:
    """Return a driver on a store with one object, which waits for nobody for long."""
    monkeypatch.setattr(fencing, "GRACE", 0.01)
    monkeypatch.setattr(locks, "DEADLINE", 0.05)
    driver = CheckedDriver(LocalDriver(tmp_path))
    driver.put("a", OLD)
    return driver


def _append(driver: CheckedDriver) -> None:
    with driver.open_writer("a") as writer:
        writer.write(b"+new")


def _move_over(driver: CheckedDriver) -> None:
    driver.put("b", b"new")
    driver.move("b", "a")


ACTS: dict[str, tuple[Callable[[CheckedDriver], object], dict[str, bytes]]] = {
    "open": (lambda driver: driver.open_writer("a").discard(), {"a": OLD}),
    "append": (_append, {"a": OLD + b"+new"}),
    "put": (lambda driver: driver.put("a", b"new"), {"a": b"new"}),
    "move": (lambda driver: driver.move("a", "b", version=driver.stat("a").version), {"b": OLD}),
    "move over": (_move_over, {"a": b"new"}),
    "delete": (lambda driver: driver.delete("a"), {}),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_stopped_writer_is_fenced_without_waiting(
    driver: CheckedDriver, start: Callable[[str], Child], tmp_path: Path, act: str
) -> None:
    """Stopped half way through a write in place, it keeps nobody waiting, and when it goes on changes nothing (F1)."""
    child = start(STOPPED_IN_A_WRITE)
    child.wait_until_stopped()
    run, after = ACTS[act]
    run(driver)
    run_again = CheckedDriver(LocalDriver(tmp_path))
    for found in (driver, run_again):
        assert {key: found.get(key, 99999) for key in list(found.list(""))} == after
    assert child.go_on() == FENCED
    assert {key: (tmp_path / key).read_bytes() for key in list(driver.list(""))} == after


def test_the_version_stays_when_a_stopped_writer_is_fenced(
    driver: CheckedDriver, start: Callable[[str], Child], tmp_path: Path
) -> None:
    """Neither the opening, nor what the writer does then, changes the version; a reader reads on (W1, S2, R4)."""
    before = driver.stat("a").version
    child = start(STOPPED_IN_A_WRITE)
    child.wait_until_stopped()
    with driver.open_reader("a") as reader, driver.open_writer("a") as writer:
        assert writer.version == reader.version == driver.stat("a").version == before
        assert child.go_on() == FENCED
        assert reader.read() == OLD
        assert driver.stat("a").version == before
    assert driver.stat("a").version == before
    CheckedDriver(LocalDriver(tmp_path)).put("b", b"")
    assert driver.stat("a").version == before


def test_one_stopped_writer_after_the_other_is_fenced(driver: CheckedDriver, start: Callable[[str], Child]) -> None:
    """Who has taken an object over from a stopped writer may be stopped as well (F1)."""
    before = driver.stat("a").version
    children = []
    for _ in range(3):
        children.append(start(STOPPED_IN_A_WRITE))
        children[-1].wait_until_stopped()
    with driver.open_writer("a") as writer:
        assert writer.version == before
    assert [child.go_on() for child in children] == [FENCED] * 3
    assert driver.get("a", 99999) == OLD


@pytest.mark.once
def test_a_writer_that_is_stopped_at_any_time_is_fenced(
    driver: CheckedDriver, start: Callable[[str], Child], tmp_path: Path
) -> None:
    """Wherever in a loop of large writes it is stopped, also in the middle of one (F1)."""
    chance, held = random.Random(4), 0
    before = driver.stat("a").version
    for _ in range(40):
        child = start(WRITING)
        assert child.process.stdout is not None
        child.process.stdout.readline()
        signal.sigtimedwait([], chance.uniform(0.001, 0.03))
        child.process.send_signal(signal.SIGSTOP)
        child.wait_until_stopped()
        held += _is_held(tmp_path / ".layerstore" / "writers" / record_name("a"))
        with driver.open_writer("a") as writer:
            assert writer.version == before
        assert child.go_on() == FENCED
        assert (tmp_path / "a").read_bytes() == OLD
    assert held, "stopped in the middle of a write"


def _is_held(path: Path) -> bool:
    with path.open("r+b") as file:
        return is_locked(file.fileno())


def test_who_holds_a_lock_is_named(driver: CheckedDriver, start: Callable[[str], Child]) -> None:
    """Where another process is stopped with a lock, the wait for it ends, and the message says which process it is."""
    child = start(STOPPED_UNDER_A_LOCK)
    child.wait_until_stopped()
    said = (
        rf"locks/{lock_name(record_name('a'))} has been locked for 0\.05 s by process {child.pid} .*, which is stopped"
    )
    with pytest.raises(BackendUnavailableError, match=said):
        driver.put("a", b"new")
    driver.put("other", b"new")
    assert child.go_on() == 0
    assert driver.get("a", 9) == b"late"


def test_a_lock_of_this_process_is_named(driver: CheckedDriver) -> None:
    """So is one that the process itself holds, in another thread (E1)."""
    area = driver.inner._area  # type: ignore[attr-defined]  # the side door
    with area.lock("a") as lock:
        assert system.try_lock(lock)
        with pytest.raises(BackendUnavailableError, match="which is this one"):
            driver.put("a", b"new")


def test_a_signal_handler_does_not_wait_for_what_it_interrupts(driver: CheckedDriver) -> None:
    """A call of the store from inside another of the same thread, on the same lock, is refused and not waited for."""
    area = driver.inner._area  # type: ignore[attr-defined]  # the side door
    with area.lock("a") as lock, lock.held(), pytest.raises(BackendUnavailableError, match="signal handler"):
        driver.put("a", b"new")


def test_a_writer_stopped_for_good_is_swept_when_it_is_dead(
    driver: CheckedDriver, start: Callable[[str], Child], tmp_path: Path
) -> None:
    """Fenced by a deletion and then killed, it leaves no record."""
    child = start(STOPPED_IN_A_WRITE)
    child.wait_until_stopped()
    driver.delete("a")
    child.process.kill()
    child.process.wait()
    CheckedDriver(LocalDriver(tmp_path)).put("b", b"")
    assert list((tmp_path / ".layerstore" / "writers").iterdir()) == []


def test_an_object_put_in_the_place_of_another_hides_that_until_it_is(tmp_path: Path) -> None:
    """Whichever of the two files is found, others see the same; and later neither if it is changed (S2)."""
    old, new = record.Identity(1, 9, 1, 1), record.Identity(2, 5, 1, 7)
    state = record.State(1, record.boot(), 5, 1, record.Identity(1, 5, 1, 0), new, former=1)
    assert state.sees(old) == state.sees(new) == (5, 1, state.version)
    assert state.sees(new._replace(ctime_ns=8)).version != state.version

"""Fresh processes: forked from one that has never opened a store, with the surroundings of the one that wants them."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from layerstore_conformance.kit.another_python import command, environment
from layerstore_conformance.processes import fresh
from layerstore_conformance.processes.child import Child
from layerstore_conformance.processes.forking import Forked

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from tests import in_fresh_processes as mains
else:
    import in_fresh_processes as mains


class Asked(Child):
    """A process that answers."""

    def answer(self) -> object:
        """Return what it sends next."""
        return self._pipe.recv()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def status(self) -> int:
        """Wait for its status."""
        return self._process.wait()

    def killed(self) -> int:
        """Kill it, and return its status."""
        self._process.kill()
        return self._process.wait()


def test_nothing_is_kept_from_this_process_or_one_before() -> None:
    """Neither what this process keeps is there, nor what another fresh one has kept."""
    mains.kept[:] = ["by this process"]
    for _ in range(2):
        with Asked(mains.tell_what_is_kept) as child:
            assert child.answer() == []


def test_it_has_the_surroundings_of_the_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables, zone, directory and path are those of this process now, and not those of the first time."""
    with Asked(mains.tell_surroundings) as child:
        child.answer()
    monkeypatch.setenv("TZ", "XYZ3")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    with Asked(mains.tell_surroundings) as child:
        wanted = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        assert child.answer() == (wanted, "XYZ", str(tmp_path), [each for each in sys.path if each])


def test_signals_end_it_as_they_end_a_program() -> None:
    """The process that forks them all takes no notice of signals."""
    with Asked(mains.tell_handlers) as child:
        assert child.answer() == [signal.default_int_handler, signal.SIG_DFL]


def test_its_status_is_that_of_a_program() -> None:
    """It ends with 0, with 1 after an error, or by a signal; a second call of ``wait`` returns the same."""
    for main, status in ((mains.tell_what_is_kept, 0), (mains.fail, 1)):
        ours, theirs = Pipe()
        with ours:
            with theirs:
                process = fresh.fork(main, theirs)
            assert [process.wait(), process.wait()] == [status, status]
    with Asked(mains.wait) as child:
        assert child.answer() == "waits"
        assert child.killed() == -signal.SIGKILL


def test_several_live_at_once() -> None:
    """Each ends with its own block, in whatever order."""
    with Asked(mains.wait) as one:
        with Asked(mains.wait) as two:
            assert (one.answer(), two.answer()) == ("waits", "waits")
            assert one.pid != two.pid
        os.kill(one.pid, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(two.pid, 0)


def test_two_threads_may_wait_for_one() -> None:
    """Both get its status."""
    with Asked(mains.wait) as child, ThreadPoolExecutor(2) as pool:
        child.answer()
        waiting = [pool.submit(child.status) for _ in range(2)]
        child.killed()
        assert [each.result() for each in waiting] == [-signal.SIGKILL] * 2


def test_one_whose_module_is_not_found_says_so() -> None:
    """The next one is forked all the same."""
    ours, theirs = Pipe()
    with ours, theirs, pytest.raises(ModuleNotFoundError):
        fresh.fork(cast("fresh.Main", Nowhere()), theirs)
    with Asked(mains.tell_what_is_kept) as child:
        assert child.answer() == []


class Nowhere:
    """Cannot be imported elsewhere."""

    def __reduce__(self) -> tuple[object, ...]:
        """Be made by a module that there is not."""
        return import_module, ("not.there",)


def test_an_origin_that_has_died_is_replaced() -> None:
    """Only the status of those that it has forked is lost."""
    with Asked(mains.tell_parent) as child:
        origin = cast("int", child.answer())
    with Asked(mains.wait) as left:
        left.answer()
        os.kill(origin, signal.SIGKILL)
        assert left.status() == fresh.LOST
    with Asked(mains.tell_parent) as child:
        assert child.answer() != origin


def test_its_errors_are_shown_where_those_of_this_process_are(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard error may have been redirected since the origin was started."""
    with capfd.disabled(), Asked(mains.tell_what_is_kept) as child:
        child.answer()
    with Asked(mains.say):
        pass
    assert capfd.readouterr().err == "said\n"


def exit_with_functions() -> NoReturn:
    """End after the functions that were registered for the exit, which pytest would call later."""
    atexit._run_exitfuncs()
    os._exit(0)


def ask_for_another(parent: Connection) -> None:
    """Have a fresh process, as a forked one, and tell its parent's number."""
    with Asked(mains.tell_parent) as child:
        parent.send(child.answer())


def test_a_forked_process_has_an_origin_of_its_own() -> None:
    """Two processes that use the same pipe would take each other's answers."""
    with Asked(mains.tell_parent) as child:
        here = child.answer()
    with Forked(ask_for_another, exit_with_functions) as forked:
        assert forked.hear() != here
    with Asked(mains.tell_parent) as child:
        assert child.answer() == here, "the forked process has ended its parent's"


GIVEN_UP = """
import os
from multiprocessing import Pipe
from layerstore_conformance.processes import fresh
from in_fresh_processes import hang

ours, theirs = Pipe()
process = fresh.fork(hang, theirs)
theirs.close()
print(ours.recv(), flush=True)
os._exit(0)
"""


def test_one_that_hangs_ends_when_the_process_is_gone_that_wanted_it() -> None:
    """Nobody would end it any more."""
    ended = subprocess.run(
        command("-c", GIVEN_UP),
        env=environment(),
        stdout=subprocess.PIPE,  # closed when all that have it have ended
        check=True,
        timeout=60,
    )
    assert ended.stdout == b"hangs\n"

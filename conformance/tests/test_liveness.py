"""Liveness: a scenario that hangs is a failure with its name and all stacks, and the rest of the run goes on."""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest

from layerstore import Stat, open_driver
from layerstore_conformance.engine import liveness
from layerstore_conformance.engine.liveness import Activity, HungError
from layerstore_conformance.engine.pace import Pace
from layerstore_conformance.engine.run import run
from layerstore_conformance.engine.scenario import Scenario
from layerstore_conformance.harness import Harness
from layerstore_conformance.kit.passing import PassingDriver

if TYPE_CHECKING:
    from layerstore_conformance.engine.context import Context

pytest_plugins = ["pytester"]

CONFTEST = """
import ctypes, threading
from layerstore_conformance.engine import liveness, scenario as module

liveness.SILENCE = 4
LOCK = threading.Lock()

def holds(ctx):
    ctx.driver.put("key", b"value")
    ctx.expect("key", b"value")

def waits(ctx):
    ctx.step("waiting for the lock")
    LOCK.acquire()
    LOCK.acquire()

def keeps_the_interpreter(ctx):
    ctypes.PyDLL(None).sleep(3600)  # PyDLL: with the interpreter's lock held

def made(name, check):
    told = dict.fromkeys(("kills", "rows", "needs", "axes"), ())
    told |= dict(group="primitives", title=f"Fake {name}.", why="", clauses=("R3",))
    told = {name: value for name, value in told.items() if name in module.Scenario.__dataclass_fields__}
    return module.Scenario(id=f"fake.{name}", without=(), profile="quick", check=check, **told)

FAKES = [made("one", holds), made("bad", %s), made("three", holds)]
module.scenarios = lambda: tuple(FAKES)
"""


class NoStat(PassingDriver):
    """A driver whose `stat` waits for ever."""

    def stat(self, key: str) -> Stat:
        """Wait for a lock that nobody gives back."""
        lock = threading.Lock()
        with lock:
            lock.acquire()
        return self.inner.stat(key)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have little patience, in rounds; and let go of the threads that were given up, which are daemons."""
    monkeypatch.setattr(liveness, "SILENCE", 4)
    yield
    liveness._given_up.clear()


def a_scenario(check: object) -> Scenario:
    """Make a scenario of a function."""
    given = {"id": "fake.one", "group": "primitives", "title": "Fake.", "why": "", "profile": "quick", "check": check}
    return Scenario(**{**dict.fromkeys(Scenario.__dataclass_fields__, ()), **given})  # type: ignore[arg-type]


@pytest.mark.usefixtures("in_a_hurry")
def test_a_scenario_whose_driver_waits_for_ever_is_given_up() -> None:
    """It fails, and says in which call and where every thread stands; what it stored is gone."""
    store = "memory://waits-for-ever"
    result = run(a_scenario(_put_and_stat), Harness(factory=lambda: NoStat(open_driver(store))))
    assert (result.outcome, result.stuck) == ("failed", False)
    assert "in or after stat " in result.reason
    assert "lock.acquire()" in result.stacks
    assert list(open_driver(store).list("")) == []


def _put_and_stat(ctx: Context) -> None:
    ctx.driver.put("key", b"")
    ctx.driver.stat("key")


def test_a_scenario_that_calls_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call of it hangs, and it does not end."""
    monkeypatch.setattr(liveness, "WHOLE", 4)
    ended = threading.Event()

    def check(ctx: Context) -> None:
        while not ended.is_set():
            ctx.driver.find("key")

    result = run(a_scenario(check), Harness("memory://calls-for-ever"))
    ended.set()
    assert result.reason.startswith("it does not end: ")


def test_a_scenario_is_given_time_if_everything_is_slow() -> None:
    """Before a scenario is given up, the pace is measured again: on a machine that is busy now, it goes on."""
    measured = threading.Event()

    def measure() -> Pace:
        measured.set()
        return Pace(3600.0)

    assert liveness._Watch(lambda: measured.wait() and "done", Activity(), Pace(0.0), measure).result() == "done"


@pytest.mark.usefixtures("in_a_hurry")
def test_an_error_of_a_scenario_is_raised_and_no_hang() -> None:
    """Also an interrupt, which is no failure."""

    def interrupted() -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        liveness.watched(interrupted, Activity(), Pace(1.0), Harness("memory://interrupted"))


@pytest.mark.usefixtures("in_a_hurry")
def test_a_store_that_hangs_at_once_is_no_store() -> None:
    """Nothing is measured for ever."""
    with pytest.raises(HungError):
        liveness.beside_a_watch(Harness("memory://hangs"), lambda _: NoStat(open_driver("memory:")).stat("key"))


def suite(pytester: pytest.Pytester, check: str, *arguments: str) -> pytest.RunResult:
    """Run three scenarios, of which the second hangs."""
    pytester.makeconftest(CONFTEST % check)
    loaded = ["-p", "layerstore_conformance.plugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        words = ("--pyargs", "layerstore_conformance", "--layerstore-url=memory://hung")
        return pytester.runpytest_subprocess(*loaded, *words, *arguments)


@pytest.mark.once
@pytest.mark.parametrize("check", ["waits", "keeps_the_interpreter"])
def test_a_worker_that_hangs_is_replaced(pytester: pytest.Pytester, check: str) -> None:
    """The scenario fails by its name, with all stacks, and the others are run by another worker."""
    result = suite(pytester, check, "-n1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = [
        "*replacing crashed worker gw0*",
        "*fake.bad: Fake bad.*",
        "*it hangs*",
        "*where all threads stood:*",
        f"*in {check}*",
    ]
    result.stdout.fnmatch_lines([*told, "layerstore conformance: FAILED: 2 passed, 1 failed *"])


@pytest.mark.once
def test_without_a_worker_the_process_ends_although_a_scenario_hangs(pytester: pytest.Pytester) -> None:
    """The scenario fails by its name, and those after it are run, for the store does not hang."""
    result = suite(pytester, "waits")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*it hangs*", "layerstore conformance: FAILED: 2 passed, 1 failed *"])


def test_a_process_lives_on_after_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time after which a process that stands still is ended does not run on when the work is done."""
    calls: list[str] = []
    monkeypatch.setattr(liveness, "_switch", [sys.stderr])
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda *_, **__: calls.append("armed"))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: calls.append("cancelled"))
    liveness._Watch(lambda: None, Activity(), Pace(3600.0), lambda: Pace(3600.0)).result()
    assert calls == ["armed", "cancelled"]

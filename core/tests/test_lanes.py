"""Lanes: tasks in order within one, several at once, whatever threads there are, and no wait that never ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import NoReturn

import pytest

from layerstore.threads import lanes
from layerstore.threads.lanes import THREADS, Lane, Task

PATIENCE = 30
"""Seconds after which a test that would wait for ever fails."""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> lanes._Threads:
    """Begin without a thread, as a new process does."""
    monkeypatch.setattr(lanes, "_threads", lanes._Threads())
    return lanes._threads


def refuse(*_: object) -> NoReturn:
    """Have no thread to give."""
    raise RuntimeError("can't start new thread")


def test_the_tasks_of_a_lane_are_done_in_order() -> None:
    """Each when the one before it is done, in other threads."""
    lane, done, here = Lane(), list[int](), threading.get_ident()
    threads = set()

    def work(number: int) -> None:
        done.append(number)
        threads.add(threading.get_ident())

    tasks = [lane.add(lambda number=number: work(number)) for number in range(1000)]  # type: ignore[misc]  # bound here
    assert [task.wait() for task in tasks] == [None] * 1000
    assert done == list(range(1000))
    assert here not in threads


@pytest.mark.parametrize("round_", range(20))
def test_two_lanes_go_on_at_once(fresh: lanes._Threads, round_: int) -> None:
    """Neither waits for the other, in a new process and later."""
    del fresh, round_
    pair = [Lane(), Lane()]
    for _ in range(3):
        meeting = threading.Barrier(2, timeout=PATIENCE)
        tasks = [lane.add(lambda meeting=meeting: meeting.wait()) for lane in pair]  # type: ignore[misc]
        assert [task.wait() for task in tasks] == [None, None]


def test_more_lanes_than_threads_all_come_to_their_end(fresh: lanes._Threads) -> None:
    """A lane that no thread is free for waits its turn."""
    tasks = [Lane().add(lambda: None) for _ in range(10 * THREADS)]
    assert [task.wait() for task in tasks] == [None] * 10 * THREADS


def test_a_thread_too_many_ends_at_once(fresh: lanes._Threads) -> None:
    """However many were started at one moment, no more stay than there are seats."""
    for _ in range(THREADS):
        fresh._seats.get_nowait()
    fresh._run()
    assert fresh._lanes.empty()


def test_a_lane_waits_where_all_threads_are_busy(fresh: lanes._Threads) -> None:
    """No thread is started for it that would find no seat."""
    for _ in range(THREADS):
        fresh._seats.get_nowait()
    Lane().add(lambda: None)
    assert fresh._lanes.qsize() == 1


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), SystemExit(1)])
def test_a_task_that_failed_tells_why_and_the_next_is_done(error: BaseException) -> None:
    """As often as it is asked; and no thread is lost by it."""

    def work() -> NoReturn:
        raise error

    lane = Lane()
    failed, done = lane.add(work), lane.add(lambda: None)
    assert [failed.wait(), failed.wait(), done.wait()] == [error, error, None]


def test_without_any_thread_work_is_done_at_once(fresh: lanes._Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a limit of threads it takes longer, and nothing else; when there are some again, they are used."""
    del fresh
    seen, here = [], threading.get_ident()
    lane = Lane()
    with monkeypatch.context() as patched:
        patched.setattr(lanes, "start_new_thread", refuse)
        lane.add(lambda: seen.append(threading.get_ident()))
        assert seen == [here]
        assert isinstance(lane.add(refuse).wait(), RuntimeError)
    assert lane.add(lambda: seen.append(threading.get_ident())).wait() is None
    assert seen[1] != here


def test_without_one_more_thread_those_that_there_are_do_it(
    fresh: lanes._Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane that no thread can be started for waits for one that is busy."""
    del fresh
    busy, go_on = threading.Event(), threading.Event()

    def work() -> None:
        busy.set()
        go_on.wait(PATIENCE)

    first = Lane().add(work)
    busy.wait(PATIENCE)
    monkeypatch.setattr(lanes, "start_new_thread", refuse)
    seen: list[int] = []
    second = Lane().add(lambda: seen.append(threading.get_ident()))
    assert seen == []
    go_on.set()
    assert [first.wait(), second.wait()] == [None, None]
    assert threading.get_ident() not in seen


def test_at_the_end_of_the_interpreter_no_thread_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All others stand still by then: what is given out is done here, and what was under way is not awaited."""
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    seen: list[int] = []
    assert Lane().add(lambda: seen.append(threading.get_ident())).wait() is None
    assert seen == [threading.get_ident()]
    with pytest.raises(RuntimeError, match="the interpreter ends"):
        Task().wait()


def test_a_wait_that_was_interrupted_may_be_repeated() -> None:
    """Just after the thread had its answer, too."""
    task = Task()
    task.do(lambda: None)
    task._underway.acquire()  # as the wait that was cut off has
    assert task.wait() is None


def test_a_lane_is_given_to_one_thread_at_a_time(fresh: lanes._Threads) -> None:
    """The thread that has the lane also does tasks that are added late."""
    lane, done = Lane(), list[str]()
    fresh._free.put(None)  # so that nobody is started, and the lane is left to this test
    lane.add(lambda: done.append("first"))
    lane.add(lambda: done.append("second"))
    assert fresh._lanes.qsize() == 1
    lane._do_all()
    lane.add(lambda: done.append("third"))
    assert fresh._lanes.qsize() == 1
    lane.drain()
    assert done == ["first", "second", "third"]


def test_what_comes_when_a_lane_is_given_back_is_not_left(
    fresh: lanes._Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the lane taken still, and so it is done by whoever gives that back."""
    lane, done = Lane(), list[str]()
    fresh._free.put(None)
    do_all = lane._do_all

    def late() -> None:
        monkeypatch.setattr(lane, "_do_all", do_all)
        do_all()
        lane.add(lambda: done.append("late"))

    monkeypatch.setattr(lane, "_do_all", late)
    lane.add(lambda: done.append("first"))
    lane.drain()
    assert (done, fresh._lanes.qsize()) == (["first", "late"], 1)


def test_who_begins_anew_knows_no_thread(fresh: lanes._Threads) -> None:
    """As a forked child does, which has none."""
    Lane().add(lambda: None).wait()
    lanes._begin_anew()
    assert lanes._threads is not fresh
    assert lanes._threads._seats.qsize() == THREADS


FORKING: dict[str, str] = {
    "idle": "lane.add(lambda: None).wait()",
    "at work": "held = lane.add(gate.wait)",
}


@pytest.mark.parametrize("before", FORKING)
def test_a_forked_child_has_threads_of_its_own(before: str) -> None:
    """This holds for any state of the parent's threads when it forks."""
    program = f"""
import os, threading
from layerstore.threads.lanes import Lane
gate, lane = threading.Event(), Lane()
{FORKING[before]}
child = os.fork()
assert Lane().add(lambda: None).wait() is None
gate.set()
if child:
    assert os.waitpid(child, 0)[1] == 0
    print("both")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "both\n", done.stderr


ENDINGS = {
    "main": "ask()",
    "at exit": "import atexit; atexit.register(ask)",
    "a collected object": """
class Late:
    def __del__(self, ask=ask): ask()
late = Late()
late.itself = late
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_whatever_is_under_way(ending: str) -> None:
    """With a thread that never comes back, and with tasks given out at the very end."""
    program = f"""
import sys, threading
from layerstore.threads.lanes import Lane
Lane().add(threading.Event().wait)
def ask(lane=Lane()): print(lane.add(lambda: None).wait())
{ENDINGS[ending]}
"""
    # Measuring coverage keeps the object until nothing can be printed any more.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr

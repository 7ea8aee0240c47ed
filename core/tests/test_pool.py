"""The threads of a driver, when the program ends and none can be started any more."""

import subprocess
import sys

import pytest

from layerstore.threads.pool import Pool

LATE = {
    "at exit": "import atexit; atexit.register(late)",
    "in a thread that outlives the main one": "threading.Thread(target=late).start()",
}

PROGRAM = """
import threading
from layerstore.threads.pool import Pool

def late():
    if threading.current_thread() is not threading.main_thread():
        threading.main_thread().join()
    while True:  # until the interpreter has closed its executors, just after the main thread has ended
        try:
            concurrent.futures.ThreadPoolExecutor(1).submit(int)
        except RuntimeError:
            break
    futures = [pool.submit(lambda: done.append(1)), pool.submit(lambda: 1 / 0)]
    print(done, futures[0].result(), type(futures[1].exception()).__name__)

import concurrent.futures
pool, done = Pool(2, "test"), []
"""


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("before", ["", "pool.submit(int).result()"])
def test_work_is_done_though_the_program_ends(late: str, before: str) -> None:
    """What is handed out at the end is done at once, or fails where it is waited for (E1, W6)."""
    command = [sys.executable, "-c", f"{PROGRAM}\n{before}\n{LATE[late]}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.splitlines()[-1:], done.stderr) == (["[1] None ZeroDivisionError"], "")


def test_work_is_refused_if_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be in the queue of the threads that there are: here it might be done twice (W2)."""

    def submit(executor: object, act: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("layerstore.threads.pool.ThreadPoolExecutor.submit", submit)
    with pytest.raises(RuntimeError, match="new thread"):
        Pool(1, "test").submit(lambda: None)

"""Do several things at once, in threads that start at one moment; look at a thread's work while it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def together(actions: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of them at once, and return their results in order; raise the first failure."""
    start = threading.Barrier(len(actions))
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def act(index: int) -> None:
        start.wait()
        try:
            results[index] = actions[index]()
        except BaseException as error:  # noqa: BLE001  (raised below, in the scenario's own thread)
            failures.append(error)

    threads = [threading.Thread(target=act, args=(index,)) for index in range(len(actions))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(actions))]


def look_during(work: Callable[[], object], look: Callable[[], object], times: int = 0) -> None:
    """Look at a thread's work until it has ended: once, or until it was seen this many times."""
    enough = threading.Event()
    if not times:
        enough.set()

    def repeat() -> None:
        work()
        while not enough.is_set():
            work()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(repeat)
        try:
            for _ in range(times):
                look()
        finally:
            enough.set()
        while not working.done():
            look()
        working.result()


def in_another_thread(act: Callable[[], T]) -> T:
    """Do something in another thread, and return its result."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()
    thread.join()
    return results[0]


def outcome_of(act: Callable[[str], object], key: str) -> str:
    """Do something to a key, and return ``done``, or the kind of the error."""
    try:
        act(key)
    except Exception as error:  # noqa: BLE001  (it is compared)
        return type(error).__name__
    return "done"

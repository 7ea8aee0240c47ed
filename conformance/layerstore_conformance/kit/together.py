"""Do several things at once, in threads that start at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
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

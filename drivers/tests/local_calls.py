"""Counts the system calls that the local driver makes in this process: exact, and without a tracer."""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from layerstore_drivers.local import locks, system

CALLS = (
    *("open", "close", "dup", "stat", "fstat", "scandir", "listdir", "pread", "preadv", "pwrite", "copy_file_range"),
    *("utime", "ftruncate", "fsync", "fdatasync", "mkdir", "rename", "unlink", "rmdir", "getpid", "urandom"),
)
"""Functions of ``os`` that are one system call; to scan a directory takes a few."""

SYNCS = ("fsync", "fdatasync")


@contextmanager
def counted(watch: Callable[[str], object] = lambda name: None) -> Iterator[Counter[str]]:
    """Count the calls of a block by their names, and show each to ``watch`` before it is made."""
    calls: Counter[str] = Counter()

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (of any call)
            watch(name)
            calls[name] += 1
            return real(*args, **kwargs)

        return call

    def init(file: locks.LockFile, *args: Any) -> None:  # noqa: ANN401  (as the real one)
        calls.update(["fstat", "close"])  # made in C
        real_init(file, *args)

    real_init, declared = locks.LockFile.__init__, system._declared
    openat2 = system._openat2() and _bound(lambda library: counting("openat2", declared(library)))
    told = system._name_to_handle_at()
    handles = counting("name_to_handle_at", told) if told else None
    everything: dict[str, Any] = {name: counting(name, getattr(os, name)) for name in CALLS}
    with (
        patch.multiple(os, **everything),
        patch.object(fcntl, "flock", counting("flock", fcntl.flock)),
        patch.object(system, "_openat2", lambda: openat2),
        patch.object(system, "_name_to_handle_at", lambda: handles),
        patch.object(locks.LockFile, "__init__", init),
    ):
        yield calls


def _bound(declared: Callable[..., Any]) -> system.OpenAt2:
    with patch.object(system, "_declared", declared):
        return system._bound()


def syncs(calls: Counter[str]) -> int:
    """Return how many of the calls were syncs."""
    return sum(calls[name] for name in SYNCS)

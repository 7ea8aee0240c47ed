"""Lifecycles with the wrong end. A module of its own, which a fork server imports by its name."""

import os
import signal

from layerstore_conformance.promises.lifecycles import TrackedUpload


def by_an_error(tracked: TrackedUpload) -> None:
    """Begin, flush, and fail."""
    tracked.begin()
    tracked.flush()
    raise LookupError("the worker's own")


def by_exiting(tracked: TrackedUpload) -> None:
    """Begin, flush, and exit."""
    tracked.begin()
    tracked.flush()
    os._exit(3)


def by_an_alarm(tracked: TrackedUpload) -> None:
    """Begin, flush, and die of the alarm that ends a worker which hangs."""
    tracked.begin()
    tracked.flush()
    signal.raise_signal(signal.SIGALRM)


def by_a_kill_from_elsewhere(tracked: TrackedUpload) -> None:
    """Begin, flush, and be killed as by the kernel, when memory runs out."""
    tracked.begin()
    tracked.flush()
    signal.raise_signal(signal.SIGKILL)

"""Lives that end otherwise than they should. A module of its own, for a zygote imports it by its name."""

import os
import signal

from layerstore_conformance.lives.lifecycles import Life


def by_an_error(life: Life) -> None:
    """Begin, flush, and fail."""
    life.begin()
    life.flush()
    raise LookupError("what the child met")


def by_exiting(life: Life) -> None:
    """Begin, flush, and exit."""
    life.begin()
    life.flush()
    os._exit(3)


def by_an_alarm(life: Life) -> None:
    """Begin, flush, and die of what ends a child that hangs."""
    life.begin()
    life.flush()
    signal.raise_signal(signal.SIGALRM)


def by_a_kill_from_elsewhere(life: Life) -> None:
    """Begin, flush, and be killed as by the kernel, when memory runs out."""
    life.begin()
    life.flush()
    signal.raise_signal(signal.SIGKILL)

"""Which process this is. The system is asked once in each: ``os.getpid`` is a system call every time."""

from __future__ import annotations

import os


class _This:
    def __init__(self) -> None:
        self.ask()

    def ask(self) -> None:
        self.number = os.getpid()


_this = _This()
if hasattr(os, "register_at_fork"):  # pragma: no branch  (where it is missing, nothing forks)
    os.register_at_fork(after_in_child=_this.ask)


def this_process() -> int:
    """Return the number of this process; a forked child has its own."""
    return _this.number

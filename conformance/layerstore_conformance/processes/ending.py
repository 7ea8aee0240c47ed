"""What another process does last: at its exit, when all that its libraries have registered for that has been done."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Final

_LAST: Final[list[Callable[[], object]]] = []


def at_last(act: Callable[[], object]) -> None:
    """Have this process do something last."""
    _LAST.append(act)


def do_last() -> None:
    """Do it all, and tell of what fails; a process of :mod:`layerstore_conformance.processes.elsewhere` calls this."""
    for act in _LAST:
        try:
            act()
        except Exception:  # noqa: BLE001  (nobody is left to raise it to)
            traceback.print_exc()

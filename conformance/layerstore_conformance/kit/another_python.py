"""Another Python: it imports what this one can, and nothing that lies in its directory."""

from __future__ import annotations

import os
import sys


def command(*words: str) -> list[str]:
    """Return the command that runs Python with some words."""
    return [sys.executable, "-P", *words]


def environment() -> dict[str, str]:
    """Return the environment that it needs: that of this process, and where this one looks for modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

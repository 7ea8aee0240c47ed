"""Another user of the system, from whom files can be kept: no permission keeps root out. Only root can become one."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

NOBODY = 65534
"""A user, and a group, who owns nothing."""


def become_another_user(user: int = NOBODY) -> None:
    """Be that user, or another one of that group, from now on, in this process."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(user)


def give_to_another_user(top: Path) -> None:
    """Give that user a directory, and everything in it."""
    for path in (top, *top.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@cache
def works() -> bool:
    """Return whether a process can become one here, who reaches temporary files."""
    folder = Path(tempfile.gettempdir()).resolve()
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return is_root and all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))

"""Who holds a lock, as far as the system tells: for the message to whoever has waited in vain."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LOCKS = Path("/proc/locks")
"""``1: FLOCK ADVISORY WRITE 1234 fe:00:5678 0 EOF``: process, device and inode (proc_locks(5))."""


def holder(fd: int) -> str:
    """Name the process that holds the lock of an open file."""
    inode = str(os.fstat(fd).st_ino)
    with suppress(OSError):
        for line in _LOCKS.read_text("ascii").splitlines():
            _, kind, *_, process, file, _, _ = line.split()
            if kind == "FLOCK" and file.rpartition(":")[2] == inode:
                return _named(int(process))
    return "another process"


def _named(process: int) -> str:
    if process == os.getpid():
        return f"process {process}, which is this one"
    with suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text("utf-8", "replace")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        stopped = ", which is stopped" if fields["State"][0] in "Tt" else ""
        return f"process {process} ({fields['Name']}){stopped}"
    return f"process {process}"

"""What must not be left in the local driver's private area, for several test files."""

import os
from pathlib import Path

from layerstore_drivers.local import record


def left_over(root: Path) -> list[Path]:
    """Return temporary files, records of writers, and notes that are about no file."""
    notes = root / ".layerstore" / "writers"
    return [*(root / ".layerstore" / "tmp").iterdir(), *(path for path in notes.iterdir() if not _is_note(root, path))]


def _is_note(root: Path, path: Path) -> bool:
    with path.open("rb") as file:
        found = record.read(file.fileno())
    if found is None or found.owned:
        return False
    file_there = root / found.key
    return file_there.exists() and record.Identity.of(os.stat(file_there)) == found.state.now

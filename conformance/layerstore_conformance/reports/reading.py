"""Read a document that a run has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class DocumentError(ValueError):
    """A file is no document of the schema."""


def read_document(path: Path, schema: str) -> dict[str, Any]:
    """Read a document whose field ``schema`` names this one.

    Raises:
        DocumentError: it cannot be read, or is none of this schema.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path}: {error}") from error
    if not isinstance(told, dict) or told.get("schema") != schema:
        raise DocumentError(f"{path}: no {schema}")
    return told

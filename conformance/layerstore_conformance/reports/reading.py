"""Read a document that a run has written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class DocumentError(ValueError):
    """A file is no document of this schema."""


def read_document(path: Path, schema: str) -> dict[str, Any]:
    """Read a document of this schema.

    Raises:
        DocumentError: it cannot be read, or has another schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise DocumentError(f"{path}: no {schema}")
    return document

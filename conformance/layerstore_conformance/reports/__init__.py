"""The reports of a run: one document, and what is drawn from it for machines and for people."""

from __future__ import annotations

import json
import re
from pathlib import Path

from layerstore_conformance.reports.badge import badge
from layerstore_conformance.reports.document import SCHEMA, Document, Run, document
from layerstore_conformance.reports.junit import junit
from layerstore_conformance.reports.matrix import matrix
from layerstore_conformance.reports.page import page

__all__ = ["SCHEMA", "Document", "Run", "document", "write_reports"]

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 (section 2.2) or HTML (section 13.2.3.5) does not allow, not even escaped."""


def write_reports(run: Run, folder: Path) -> list[Path]:
    """Write every report of a run into a folder, made if missing, and return their paths.

    Raises:
        OSError: one cannot be written.
    """
    made = document(run)
    texts = {
        "report.json": json.dumps(made, indent=1, ensure_ascii=False) + "\n",
        "junit.xml": junit(made),
        "report.html": page(made),
        "matrix.md": matrix(made),
        "badge.svg": badge(made),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(_NOT_TEXT.sub(_escaped, text), encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")

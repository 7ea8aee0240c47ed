"""``matrix.md``: every scenario with its outcome, for a README or a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerstore_conformance.reports.document import Document

MARKS = {"passed": "✅ passed", "failed": "❌ **failed**", "skipped": "⏭️ skipped", "waived": "⚠️ waived"}

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def matrix(made: Document) -> str:
    """Draw the report."""
    driver, environment = made["driver"], made["environment"]
    lines = [
        f"# Conformance of {_plain(driver['scheme'] or 'no driver')}",
        "",
        f"**{_plain(made['verdict']['sentence'])}**",
        "",
        (
            f"Driver {_plain(driver['distribution'])} {_plain(driver['version'])}, suite {made['suite']['version']}, "
            f"contract {made['contract']}, profile {made['profile']}, "
            f"{environment['implementation']} {environment['python']} on {environment['system']}, "
            f"{made['started'][:10]}."
        ),
        "",
        "| group | passed | failed | skipped | waived |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for group, counts in made["groups"].items():
        lines.append(f"| {group} | {' | '.join(str(count) for count in counts.values())} |")
    for group in made["groups"]:
        lines += ["", f"## {group}", "", "| scenario | outcome | clauses |", "| --- | --- | --- |"]
        for each in made["records"]:
            if each["group"] == group:
                said = {"skipped": each["reason"], "waived": each["waiver"]}.get(each["outcome"], "")
                outcome = MARKS[each["outcome"]] + (f": {_plain(said)}" if said else "")
                lines.append(f"| `{each['id']}`<br>{_plain(each['title'])} | {outcome} | {' '.join(each['clauses'])} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Make a text mean itself in Markdown."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))

"""``report.html``: one page for people, which needs no other file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layerstore_conformance.engine.clauses import clauses
from layerstore_conformance.reports.badge import badge
from layerstore_conformance.verdict.judging import OUTCOMES

if TYPE_CHECKING:
    from layerstore_conformance.reports.document import Document

_CODE = re.compile(r"``?([^`]+)``?")
"""The mark of code in the contract and in docstrings; applied to text that is escaped already."""


def page(made: Document) -> str:
    """Draw the report."""
    from markupsafe import Markup, escape

    from layerstore_conformance.reports.html import pages  # late: only reports need jinja2

    environment = pages("layerstore_conformance.reports")
    environment.filters["prose"] = lambda text: Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704
    drawn = Markup(badge(made))  # noqa: S704  (our own SVG, which escapes what it is given)
    template = environment.get_template("report.html")
    return template.render(report=made, clauses=clauses(), outcomes=OUTCOMES, badge=drawn, defects=_titles(made))


def _titles(made: Document) -> dict[str, str]:
    """Return the titles of the planted defects that failures look like."""
    from layerstore_conformance.engine.defect import defects

    named = {each["looks_like"] for each in made["records"]} - {""}
    return {name: defects()[name].title for name in named if name in defects()}

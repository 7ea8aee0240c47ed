"""``badge.svg``: the verdict, with the driver and suite that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from layerstore_conformance.reports.document import Document

COLOURS = {"passed": "#1a7f37", "failed": "#b3261e", "incomplete": "#8a5a00", "error": "#8a5a00"}
"""Dark enough for white letters: a contrast of at least 4.5 (WCAG 2.1, 1.4.3)."""

LETTER = 6.6
"""The width in pixels reserved for a letter of 11 pixels; textLength makes it so in every font."""


def badge(made: Document) -> str:
    """Draw the report; the tooltip has the driver, the suite and the system."""
    outcome = made["verdict"]["outcome"]
    driver, totals = made["driver"], made["totals"]
    name = f"layerstore {made['suite']['version']}"
    run = sum(totals.values())
    value = f"{outcome} {totals['passed']}/{run}" if run else outcome
    if driver["scheme"]:
        value = f"{driver['scheme']} {driver['version']} {value}"
    title = (
        f"{driver['distribution']} {driver['version']} ({driver['driver_class']}): {made['verdict']['sentence']}; "
        f"layerstore conformance {made['suite']['version']}, contract {made['contract']}, profile {made['profile']}, "
        f"{made['environment']['implementation']} {made['environment']['python']}, {made['environment']['system']} "
        f"{made['environment']['machine']}, {made['started']}"
    )
    left, right = (round(len(text) * LETTER) + 12 for text in (name, value))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quoteattr(f'{name}: {value}')}>\n"
        f"<title>{escape(title)}</title>\n"
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>\n'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{COLOURS[outcome]}"/></g>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="6" y="14" textLength="{left - 12}">{escape(name)}</text>'
        f'<text x="{left + 6}" y="14" textLength="{right - 12}">{escape(value)}</text></g>\n</svg>\n'
    )

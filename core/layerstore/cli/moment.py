"""Spans of time and points in time, as people write them."""

import re
from datetime import UTC, datetime, timedelta

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)


def span(text: str) -> timedelta:
    """Read a span of time: ``90s``, ``30m``, ``12h``, ``7d``, ``2w``."""
    match = _SPAN.fullmatch(text)
    try:
        if match:
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        pass
    raise click.BadParameter(f"{text!r} is not a span of time: expected a number with s, m, h, d or w.")


def moment(text: str) -> datetime:
    """Read a point in time: RFC 3339, as ``2026-07-01T00:00:00Z``, or how long ago, as ``7d``."""
    if _SPAN.fullmatch(text):
        try:
            return datetime.now(UTC) - span(text)
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.BadParameter(f"{text!r} is not a time: expected 2026-07-01T00:00:00Z, or how long ago, as 7d.")
    return found

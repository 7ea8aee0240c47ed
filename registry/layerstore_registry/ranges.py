"""Ranges of bytes, as requests ask for them."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,30})-([0-9]{0,30})[ \t]*", re.ASCII | re.IGNORECASE)
_CONTENT = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?", re.ASCII)


class Span(NamedTuple):
    """So many bytes from an offset on."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.start + self.length


def asked(header: str | None, size: int) -> Span | None:
    """Return the part of ``size`` bytes that is asked for; None: all, or what is asked for in a form not served.

    Several ranges at once are such a form: nobody gets an answer larger than the blob.

    Raises:
        ValueError: no byte of it is there.
    """
    match = _ONE.fullmatch(header or "")
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        length = min(int(last) + 1 if last else size, size) - start
    if length <= 0:
        raise ValueError(header)
    return Span(start, length)


def content(header: str) -> Span:
    """Read the ``Content-Range`` of a chunk: ``0-1023``, and as HTTP spells it, ``bytes 0-1023/*``.

    Raises:
        ValueError: it is none.
    """
    match = _CONTENT.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise ValueError(header)
    return Span(int(match[1]), int(match[2]) - int(match[1]) + 1)


def spelled(size: int) -> str:
    """Spell how much there is of an upload, as clients read it: nothing at all is ``0-0``, too."""
    return f"0-{max(size - 1, 0)}"

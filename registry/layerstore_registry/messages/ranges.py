"""Ranges of bytes, as requests ask for them."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"bytes=[ \t]*([0-9]{0,30})-([0-9]{0,30})[ \t]*", re.ASCII | re.IGNORECASE)
_CONTENT = re.compile(r"(?:bytes[ =])?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]{1,18}|\*))?", re.ASCII)


class Span(NamedTuple):
    """A number of bytes from an offset on."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.start + self.length


def asked(header: str | None, size: int) -> Span | None:
    """Return the part of ``size`` bytes that a request asks for; None if it asks for all, or in an unknown form.

    Several ranges in one request are not served, so that no answer is larger than the blob.

    Raises:
        ValueError: the part has no byte of the blob.
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
        ValueError: it is no such range.
    """
    match = _CONTENT.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise ValueError(header)
    return Span(int(match[1]), int(match[2]) - int(match[1]) + 1)


def spelled(size: int) -> str:
    """Return how much there is of an upload, in the form that clients read. No bytes are ``0-0``, too."""
    return f"0-{max(size - 1, 0)}"

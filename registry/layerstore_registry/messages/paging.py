"""Listings in pages: a link leads to the next page (RFC 8288)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from urllib.parse import quote, urlencode

from layerstore_registry.refusals import bad_request

_DIGITS = 9


def asked(text: str | None, most: int) -> int:
    """Return how many entries a request asks for, and never more than ``most``.

    Raises:
        Refusal: it is no number.
    """
    if text is None:
        return most
    if not (text.isascii() and text.isdigit()):
        raise bad_request("UNSUPPORTED", "n is not a number")
    return min(int(text.lstrip("0")[:_DIGITS] or 0), most)


def page(entries: Iterable[str], count: int) -> tuple[list[str], bool]:
    """Return so many entries, and whether there are more."""
    found = list(islice(entries, count + 1))
    return found[:count], len(found) > count


def next_page(path: str, query: Mapping[str, object]) -> dict[str, str]:
    """Return the header with the link to the next page."""
    return {"Link": f'<{quote(path, safe="/:")}?{urlencode(query)}>; rel="next"'}

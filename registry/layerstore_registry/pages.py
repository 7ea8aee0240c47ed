"""Listings in pages: the rest by a link, as RFC 8288 has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from urllib.parse import quote, urlencode

from layerstore_registry.refusals import bad_request

_DIGITS = 9


def asked(text: str | None, most: int) -> int:
    """Read how many entries are asked for; never more than ``most``.

    Raises:
        Refusal: no number.
    """
    if text is None:
        return most
    if not (text.isascii() and text.isdigit()):
        raise bad_request("UNSUPPORTED", "n is not a number")
    return min(int(text.lstrip("0")[:_DIGITS] or 0), most)


def page(entries: Iterable[str], count: int) -> tuple[list[str], bool]:
    """Return so many entries, and whether there are more; of none, nobody asks for the rest."""
    found = list(islice(entries, count + 1))
    return found[:count], len(found) > count


def next_page(path: str, query: Mapping[str, object]) -> dict[str, str]:
    """Make the header that leads to the rest."""
    return {"Link": f'<{quote(path, safe="/:")}?{urlencode(query)}>; rel="next"'}

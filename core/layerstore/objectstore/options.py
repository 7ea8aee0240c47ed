"""Options of a URL, which are text, or of a call, which are anything: read, or refused with a sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

_YES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def yes(given: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """Return whether an option is true.

    Raises:
        ValueError: it is neither true nor false.
    """
    value = str(given.get(name, default)).lower()
    if value not in _YES:
        raise ValueError(f"{name} is true or false")
    return _YES[value]


def whole(given: Mapping[str, Any], name: str, default: int, least: int) -> int:
    """Return a number.

    Raises:
        ValueError: it is none, or smaller than ``least``.
    """
    try:
        number = int(given.get(name, default))
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise ValueError(f"{name} is a whole number, at least {least}")
    return number


def one_of(given: Mapping[str, Any], name: str, default: str, known: Collection[str]) -> str:
    """Return a word.

    Raises:
        ValueError: it is none of the known ones.
    """
    value = str(given.get(name, default))
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}")
    return value

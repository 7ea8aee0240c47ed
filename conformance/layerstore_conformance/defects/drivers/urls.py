"""Defects of the reading of URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unittest.mock import patch

from layerstore import url
from layerstore.url import StoreURL
from layerstore_conformance.engine.defect import planted_in_core

SPLIT = url._split
OPTIONS = url._options
REDACTED = url._redacted


@planted_in_core("O1")
def schemes_keep_their_case() -> Iterator[None]:
    """A scheme is as it is written, and one in upper case has no driver."""

    def split(text: str) -> tuple[str, str | None, str, dict[str, str]]:
        return text.partition(":")[0], *SPLIT(text)[1:]

    with patch.object(url, "_split", split):
        yield


@planted_in_core("E3")
def an_escaped_at_is_shown() -> Iterator[None]:
    """A refused URL is shown up to its options, unless it has a plain at sign."""
    with patch.object(url, "_redacted", lambda text: REDACTED(text) if "@" in text else text.partition("?")[0]):
        yield


@planted_in_core("E3")
def what_an_escape_in_capitals_hides_is_shown() -> Iterator[None]:
    """A refused URL is cut before an escaped delimiter, unless that is written in capitals."""
    with patch.object(url, "_MAYBE_SECRET", re.compile(url._MAYBE_SECRET.pattern)):
        yield


@planted_in_core("E3")
def whatever_precedes_a_colon_is_shown() -> Iterator[None]:
    """A refused URL is shown up to its first colon, be that a scheme or not."""

    def redacted(text: str) -> str:
        known, colon, _ = text.partition(":")
        return known + REDACTED(f"a:{text.removeprefix(known + colon)}")[1:] if colon else REDACTED(text)

    with patch.object(url, "_redacted", redacted):
        yield


@planted_in_core("E3")
def a_refused_url_is_shown_whole() -> Iterator[None]:
    """A refused URL is shown as it is."""
    with patch.object(url, "_redacted", lambda text: text):
        yield


@planted_in_core("O2")
def paths_beside_a_host_are_ignored() -> Iterator[None]:
    """A URL with a host has no path, whatever is written."""

    def split(text: str) -> tuple[str, str | None, str, dict[str, str]]:
        scheme, host, path, options = SPLIT(text)
        return scheme, host, "" if host else path, options

    with patch.object(url, "_split", split):
        yield


@planted_in_core("O1")
def a_plus_is_a_space() -> Iterator[None]:
    """A plus in an option is a space, as in a web form."""

    def options(query: str) -> dict[str, str]:
        return {name: value.replace("+", " ") for name, value in OPTIONS(query).items()}

    with patch.object(url, "_options", options):
        yield


@planted_in_core("O1")
def an_empty_option_is_refused() -> Iterator[None]:
    """An option that is empty is refused, as one without an equals sign is."""

    def options(query: str) -> dict[str, str]:
        found = OPTIONS(query)
        if "" in found.values():
            raise ValueError("options are name=value, joined by &")
        return found

    with patch.object(url, "_options", options):
        yield


@planted_in_core("O1")
def options_are_in_lower_case() -> Iterator[None]:
    """The names of options are in lower case, however they are written."""

    def options(query: str) -> dict[str, str]:
        return {name.lower(): value for name, value in OPTIONS(query).items()}

    with patch.object(url, "_options", options):
        yield


@planted_in_core("O1")
def options_begin_at_the_last_question_mark() -> Iterator[None]:
    """Options begin at the last question mark: one in an option is cut off."""
    real = StoreURL.parse.__func__  # type: ignore[attr-defined]  # of a class method, which mypy takes for a function

    def parse(cls: type[StoreURL], text: str) -> StoreURL:
        before, mark, after = text.rpartition("?")
        parsed: StoreURL = real(cls, f"{before.replace('?', '%3F')}{mark}{after}")
        return parsed

    with patch.object(StoreURL, "parse", classmethod(parse)):
        yield


@planted_in_core("O1", "O2")
def options_given_twice_are_taken() -> Iterator[None]:
    """Of an option that is given twice, the last value is taken."""

    def options(query: str) -> dict[str, str]:
        parts = query.split("&") if query else []
        return {name: value for part in parts for name, value in OPTIONS(part).items()}

    with patch.object(url, "_options", options):
        yield


@planted_in_core("O2")
def bad_escapes_are_taken() -> Iterator[None]:
    """A percent sign that escapes nothing is a percent sign."""
    with patch.object(url, "_BAD_ESCAPE", re.compile(r"(?!)")):
        yield

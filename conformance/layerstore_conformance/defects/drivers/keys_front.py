"""Defects of the front's check of keys: a limit that does not hold, a character too many, a method without a check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unittest.mock import patch

from layerstore import keys
from layerstore.checked import CheckedDriver
from layerstore.driver import Scanned
from layerstore.keys import is_harmless
from layerstore_conformance.engine.defect import planted_in_core

NO_LIMIT = 1 << 30


@planted_in_core("K1")
def segments_uncounted() -> Iterator[None]:
    """A key may have any number of segments."""
    with patch.object(keys, "MAX_SEGMENTS", NO_LIMIT):
        yield


@planted_in_core("K1")
def keys_of_any_length() -> Iterator[None]:
    """A key may have any number of bytes."""
    with patch.object(keys, "MAX_KEY", NO_LIMIT):
        yield


@planted_in_core("K1")
def segments_of_any_length() -> Iterator[None]:
    """A segment may have any number of bytes."""
    with patch.object(keys, "MAX_SEGMENT", NO_LIMIT):
        yield


@planted_in_core("K1")
def last_segment_refused() -> Iterator[None]:
    """A key may have fewer than 200 segments."""
    with patch.object(keys, "MAX_SEGMENTS", keys.MAX_SEGMENTS - 1):
        yield


@planted_in_core("K1")
def comma_is_a_key() -> Iterator[None]:
    """The characters of a key are written as a range, in which there is a comma."""
    with patch.object(keys, "_KEY", re.compile(r"(?!\.)[A-Za-z0-9_+-.]+(?:/(?!\.)[A-Za-z0-9_+-.]+)*\Z")):
        yield


@planted_in_core("K1")
def letters_of_any_script() -> Iterator[None]:
    """The letters and digits of every script are those of a key."""
    with patch.object(keys, "_KEY", re.compile(r"(?!\.)[\w.+-]+(?:/(?!\.)[\w.+-]+)*\Z")):
        yield


@planted_in_core("K1")
def newline_at_the_end_accepted() -> Iterator[None]:
    """A key may end in a newline, before which ``$`` finds the end."""
    with patch.object(keys, "_KEY", re.compile(r"(?!\.)[A-Za-z0-9._+-]+(?:/(?!\.)[A-Za-z0-9._+-]+)*$")):
        yield


@planted_in_core("K1")
def scan_prefix_unchecked() -> Iterator[None]:
    """A scan takes any text for a prefix."""

    def scan(self: CheckedDriver, prefix: str) -> Iterator[Scanned]:
        children = self._children(prefix, self.inner.scan)
        return (child for child in children if isinstance(child, str) or not is_harmless(child.name))

    with patch.object(CheckedDriver, "scan", scan):
        yield


@planted_in_core("K1")
def move_target_unchecked() -> Iterator[None]:
    """A move takes any text for a target."""

    def move(self: CheckedDriver, source: str, target: str, *, version: str | None = None) -> None:
        self._check(source)
        self.inner.move(source, target, version=version)

    with patch.object(CheckedDriver, "move", move):
        yield

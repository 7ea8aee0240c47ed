"""Defects of the core: what its tools make of keys that a writer has taken and never published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from unittest.mock import patch

from layerstore.checked import CheckedDriver
from layerstore.contents import survey, walk
from layerstore.driver import Foreign
from layerstore.upkeep import purge
from layerstore_conformance.engine.defect import planted_in_core

TELLING = walk.telling


@planted_in_core("L6")
def what_is_taken_is_passed_over() -> Iterator[None]:
    """Keys that were taken and never published are passed over by every tool."""
    with patch.object(walk, "telling", lambda driver, odd, taken=None: TELLING(driver, odd)):
        yield


@planted_in_core("L6")
def taken_keys_are_noted_as_folders() -> Iterator[None]:
    """The time of what was taken is noted for a prefix, and not for a key."""

    def telling(driver: CheckedDriver, odd: walk.Odd, taken: dict[str, datetime] | None = None) -> walk.Children:
        def children(prefix: str) -> Iterator[str]:
            for child in driver.scan(prefix):
                if isinstance(child, Foreign):
                    odd(child)
                elif isinstance(child, str):
                    yield child
                elif taken is not None:
                    if child.name.endswith("/"):
                        taken[child.name] = child.modified
                    yield child.name

        return children

    with patch.object(walk, "telling", telling):
        yield


@planted_in_core("D1")
def a_purge_goes_by_the_oldest_part() -> Iterator[None]:
    """A purge goes by when the first part of an upload was stored, taken or begun."""
    with patch.object(purge, "max", min, create=True):
        yield


@planted_in_core("L6", "L1")
def a_taken_start_is_a_start() -> Iterator[None]:
    """A scrub takes an upload whose start was only taken for one that was begun."""
    with patch.object(survey._Surveyor, "children", lambda self, prefix: TELLING(self.driver, self.odd, {})(prefix)):
        yield


@planted_in_core("L6")
def what_is_taken_is_foreign() -> Iterator[None]:
    """A key that was taken and never published stops whoever meets it, as a foreign thing does."""

    def telling(driver: CheckedDriver, odd: walk.Odd, taken: dict[str, datetime] | None = None) -> walk.Children:
        def children(prefix: str) -> Iterator[str]:
            for child in TELLING(driver, odd, {})(prefix):
                if taken is None and not child.endswith("/") and driver.find(child) is None:
                    odd(Foreign(child, "taken"))
                else:
                    yield child

        return children

    with patch.object(walk, "telling", telling):
        yield

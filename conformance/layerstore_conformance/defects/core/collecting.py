"""Defects of the core: collections that fail half way, or are not alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from unittest.mock import patch

from layerstore import layout
from layerstore.checked import CheckedDriver
from layerstore.contents import links, marks, walk
from layerstore.errors import DriverError, PathNotFoundError
from layerstore.upkeep import collect
from layerstore_conformance.engine.defect import planted_in_core


@planted_in_core("L4")
def gc_lists_areas_once() -> Iterator[None]:
    """A mark reads the links of those repositories that were there when it looked for intents."""
    mark, real = collect._mark, walk.areas

    def once(driver: CheckedDriver, odd: walk.Odd, without: Collection[str] = ()) -> set[str]:
        listed: list[str] = []

        def areas(children: walk.Children, name: str | None, missed: walk.Missed) -> Iterator[str]:
            listed.extend([] if listed else real(children, name, missed))
            return iter(listed)

        with patch.object(walk, "areas", areas):
            return mark(driver, odd, without)

    with patch.object(collect, "_mark", once):
        yield


@planted_in_core("M3")
def gc_reports_what_another_removed() -> Iterator[None]:
    """A collection deletes and reports a blob though another one has removed it."""
    with patch.object(collect, "_delete", lambda driver, each: driver.delete(each.key)):
        yield


@planted_in_core("E4")
def gc_leaves_its_moves() -> Iterator[None]:
    """A collection that fails leaves in the trash what it has moved there."""
    with patch.object(collect, "_put_all_back", lambda driver, trash: None):
        yield


@planted_in_core("E4")
def gc_puts_back_until_one_fails() -> Iterator[None]:
    """A collection that fails puts blobs back until one cannot be put back."""

    def put_all_back(driver: CheckedDriver, trash: list[collect._Picked]) -> None:
        with suppress(DriverError):
            for each in trash:
                collect._put_back(driver, each)

    with patch.object(collect, "_put_all_back", put_all_back):
        yield


@planted_in_core("E4")
def gc_forgets_what_it_could_not_delete() -> Iterator[None]:
    """A collection that cannot delete a blob leaves it where no collection looks for one."""

    def delete(driver: CheckedDriver, each: collect._Picked) -> None:
        taken = layout.deleted()
        driver.move(each.key, taken)
        driver.delete(taken)

    with patch.object(collect, "_delete", delete):
        yield


@planted_in_core("E4")
def gc_gives_up_a_blob_that_was_moved() -> Iterator[None]:
    """A collection takes a blob for not moved when the answer of the move is lost."""
    with patch.object(collect, "_is_there", lambda driver, key: False):
        yield


@planted_in_core("M2")
def gc_ends_a_move_under_way() -> Iterator[None]:
    """A collection ends a copy in the trash that may just be moved there."""
    real = collect._left

    def left(driver: CheckedDriver, below: str, before: datetime) -> Iterator[collect._Picked]:
        return real(driver, below, datetime.max.replace(tzinfo=UTC))

    with patch.object(collect, "_left", left):
        yield


@planted_in_core("L3")
def gc_follows_a_link_elsewhere() -> Iterator[None]:
    """A collection follows a link that is named by another sha256 than it points to."""
    real = marks.link

    def link(driver: CheckedDriver, key: str) -> marks.Link | None:
        with suppress(PathNotFoundError, ValueError):
            return marks.Link(key, links.pointed(driver, key, padded=True))
        return real(driver, key)

    with patch.object(marks, "link", link):
        yield


@planted_in_core("L6")
def long_links_are_no_links() -> Iterator[None]:
    """Only a link of 64 digits has a place in which a folder counts as foreign."""
    pattern = re.compile(layout._BELOW_LINK.pattern.replace("{64,128}", "{64}"))
    with patch.object(layout, "_BELOW_LINK", pattern):
        yield


@planted_in_core("L6")
def links_below_a_link_are_links() -> Iterator[None]:
    """An object of the name of a link is one, also where it lies below the place of another."""
    real = layout.link_above
    with patch.object(layout, "link_above", lambda path: None if path.endswith("/link") else real(path)):
        yield
